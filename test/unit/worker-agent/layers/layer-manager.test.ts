import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BuildError, isInfrastructureError } from "../../../../src/core/errors/build-error.ts";
import { Code } from "../../../../src/core/errors/code.ts";
import { LayerLostError } from "../../../../src/core/errors/layer-lost-error.ts";
import { silentLogger } from "../../../../src/core/seams/logger.ts";
import { sha256 } from "../../../../src/core/values/digest.ts";
import type { LayerId, LayerInfo } from "../../../../src/core/values/layer.ts";
import { RegistryError } from "../../../../src/registry/index.ts";
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

  const bytes = Buffer.from("layer");
  const descriptor = { mediaType: "", digest: sha256(bytes), size: bytes.length };

  /** Fetches a layer that several repositories have; what each gives, and what was unpacked. */
  async function fetchFrom(repositories: Readonly<Record<string, Uint8Array | Error>>): Promise<string> {
    let unpacked = "";
    const manager = new LayerManager({
      agentId: "c",
      logger: silentLogger,
      snapshotter: {
        has: () => false,
        ingest: async () => ({ path: "/", commit: async () => {}, [Symbol.asyncDispose]: async () => {} }),
      },
      content: {
        stat: async () => undefined,
        write: async (blob: AsyncIterable<Uint8Array>) => {
          for await (const _ of blob);
        },
      },
      onStored: async () => {},
      codec: {
        apply: async (blob: AsyncIterable<Uint8Array>) => {
          const chunks: Uint8Array[] = [];
          for await (const chunk of blob) chunks.push(chunk);
          unpacked = Buffer.concat(chunks).toString();
          return undefined;
        },
      },
      origins: {
        async *open({ repository }: { repository: string }) {
          const answer = repositories[repository];
          if (answer instanceof Error) throw answer;
          if (answer !== undefined) yield answer;
        },
      },
    } as unknown as LayerManagerOptions);
    const origins = Object.keys(repositories).map((repository) => ({
      kind: "registry" as const,
      repository,
      descriptor,
    }));
    const info: LayerInfo = { id, blobs: [], origins, holders: [], sizeBytes: 1, createdAt: 1 };
    const sources = { infos: new Map([[id, info]]), peers: {}, sessions: noSessions, progress };
    await manager.ensure([id], sources, new AbortController().signal);
    return unpacked;
  }

  it("has a holder check the archive whose digest turns out to be wrong when it is unpacked", async () => {
    const archive = { mediaType: "application/vnd.buildfleet.layer.v1.tar", digest: sha256(bytes), size: bytes.length };
    const checked: string[] = [];
    const unpacked: string[] = [];
    const committed: string[] = [];
    const manager = new LayerManager({
      agentId: "c",
      logger: silentLogger,
      snapshotter: {
        has: () => false,
        ingest: async () => ({
          path: "/",
          commit: async (layer: LayerId) => committed.push(layer),
          [Symbol.asyncDispose]: async () => {},
        }),
      },
      content: { stat: async () => undefined },
      onStored: async () => {},
      codec: {
        apply: async (blob: AsyncIterable<Uint8Array>) => {
          for await (const chunk of blob) unpacked.push(Buffer.from(chunk).toString());
          return sha256(unpacked.at(-1) ?? "");
        },
      },
      transport: {
        layerBlob: async () => archive,
        async *readBlob() {
          yield checked.length === 0 ? damaged : bytes;
        },
        checkBlob: async (url: string) => void checked.push(url),
      },
    } as unknown as LayerManagerOptions);
    const info: LayerInfo = { id, blobs: [], origins: [], holders: ["a"], sizeBytes: 1, createdAt: 1 };
    const sources = { infos: new Map([[id, info]]), peers: { a: "http://a" }, sessions: noSessions, progress };
    await manager.ensure([id], sources, new AbortController().signal);
    assert.deepEqual(checked, ["http://a"]);
    assert.deepEqual(unpacked, ["liar!", "layer"]);
    assert.deepEqual(committed, [id]);
  });

  const damaged = Buffer.from("liar!");
  const gone = new RegistryError("no such blob", { status: 404, host: "host", path: "/" });

  it("takes a layer from another repository when the first one's is damaged or gone", async () => {
    assert.equal(await fetchFrom({ bad: damaged, good: bytes }), "layer");
    assert.equal(await fetchFrom({ bad: gone, worse: damaged, good: bytes }), "layer");
  });

  /** Reads a blob which agent a was said to have and has not; the layer is here, and cut again it gives `again`. */
  async function readCutAgain(again: Uint8Array): Promise<string> {
    const blobs = new Map<string, Uint8Array>();
    const manager = new LayerManager({
      agentId: "c",
      logger: silentLogger,
      snapshotter: { has: () => true, layerPath: () => "/layer" },
      transport: {
        // biome-ignore lint/correctness/useYield: it has nothing
        readBlob: async function* () {
          throw new BuildError(Code.NotFound, "peer answered 404", { infrastructure: true });
        },
      },
      packs: { get: async () => undefined, put: async () => 1 },
      codec: {
        pack: async () => {
          blobs.set(sha256(again), again);
          return { mediaType: "", digest: sha256(again), size: again.length };
        },
      },
      content: {
        read: async function* (digest: string, { offset }: { offset: number }) {
          const blob = blobs.get(digest);
          if (blob === undefined) throw new BuildError(Code.NotFound, "not here");
          yield blob.subarray(offset);
        },
      },
    } as unknown as LayerManagerOptions);
    const info: LayerInfo = { id, blobs: [descriptor], origins: [], holders: ["a", "c"], sizeBytes: 1, createdAt: 1 };
    const sources = { infos: new Map([[id, info]]), peers: { a: "http://a" }, sessions: noSessions, progress };
    const compression = { type: "gzip", force: false, ociMediaTypes: true } as const;
    const chunks: Uint8Array[] = [];
    const { signal } = new AbortController();
    const packed: LayerId[] = [];
    const read = manager.openBlob({ ...descriptor, layer: id, compression }, sources, signal, (l) => packed.push(l));
    for await (const chunk of read) chunks.push(chunk);
    assert.deepEqual(packed, [id]);
    return Buffer.concat(chunks).toString();
  }

  it("cuts a blob again that went with its agent, and says when it comes out different", async () => {
    assert.equal(await readCutAgain(bytes), "layer");
    await assert.rejects(readCutAgain(Buffer.from("other")), (error) => {
      assert.ok(LayerLostError.is(error));
      assert.deepEqual(LayerLostError.layersOf(error), [id]);
      return true;
    });
  });

  it("says that a layer is lost when all that have it have it no more, or damaged", async () => {
    await assert.rejects(fetchFrom({ bad: damaged }), (error) => LayerLostError.is(error));
    await assert.rejects(fetchFrom({ bad: gone }), (error) => LayerLostError.is(error));
    const unreachable = new BuildError(Code.Unavailable, "connection refused", { infrastructure: true });
    await assert.rejects(fetchFrom({ bad: unreachable }), (error) => !LayerLostError.is(error));
  });
});
