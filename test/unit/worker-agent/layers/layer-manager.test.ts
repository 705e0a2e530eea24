import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BuildError, isInfrastructureError } from "../../../../src/core/errors/build-error.ts";
import { Code } from "../../../../src/core/errors/code.ts";
import { silentLogger } from "../../../../src/core/seams/logger.ts";
import type { LayerId, LayerInfo } from "../../../../src/core/values/layer.ts";
import { LayerManager, type LayerManagerOptions } from "../../../../src/worker-agent/layers/layer-manager.ts";
import { noSessions } from "../../../helpers/no-sessions.ts";

const id = "l" as LayerId;
const progress = { status: () => {}, log: () => {}, warn: () => {} };

/** Asks agents a, b and c for a layer which none of them gives; c is the one that asks. */
async function reported(): Promise<readonly string[]> {
  const missing: string[] = [];
  const manager = new LayerManager({
    agentId: "c",
    logger: silentLogger,
    snapshotter: { has: () => false },
    transport: {
      layerBlob: async (url: string) => {
        throw new BuildError(url === "http://a" ? Code.NotFound : Code.Unavailable, url, { infrastructure: true });
      },
    },
    content: { stat: async () => undefined },
    onMissing: (holder: string, layer: LayerId) => missing.push(`${layer}@${holder}`),
  } as unknown as LayerManagerOptions);
  const info: LayerInfo = { id, blobs: [], origins: [], holders: ["a", "b", "c"], sizeBytes: 1, createdAt: 1 };
  const sources = {
    infos: new Map([[id, info]]),
    peers: { a: "http://a", b: "http://b" },
    sessions: noSessions,
    progress,
  };
  await assert.rejects(manager.ensure([id], sources, new AbortController().signal), isInfrastructureError);
  return missing.sort();
}

describe("LayerManager", () => {
  it("tells of holders that do not have the layer, not of those it cannot reach", async () => {
    assert.deepEqual(await reported(), ["l@a", "l@c"]);
  });
});
