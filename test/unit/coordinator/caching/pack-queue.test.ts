import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PackQueue } from "../../../../src/coordinator/caching/pack-queue.ts";
import type { ExportContext } from "../../../../src/core/seams/exporter.ts";
import { sha256 } from "../../../../src/core/values/digest.ts";
import type { LayerId, LayerInfo } from "../../../../src/core/values/layer.ts";
import type { Compression, TaskBody } from "../../../../src/core/values/task.ts";

const compression: Compression = { type: "gzip", force: false, ociMediaTypes: true };
const layer = (id: string, holder: string, sizeBytes = 1): LayerInfo => ({
  id: id as LayerId,
  blobs: [],
  origins: [],
  holders: [holder],
  sizeBytes,
  createdAt: 0,
});

/** Answers each layer with a blob named after it; `lost` cannot be packed. */
function queueOf(tasks: string[][]) {
  const run = async (_kind: string, { layers }: TaskBody<"pack">) => {
    tasks.push([...layers]);
    if (layers.includes("lost" as LayerId)) throw new Error("no such layer");
    return { descriptors: layers.map((id) => ({ mediaType: "", digest: sha256(id), size: 1 })) };
  };
  return new PackQueue(compression, { dispatcher: { run } } as unknown as ExportContext);
}

describe("PackQueue", () => {
  it("has the layers of each agent packed in one task, and tells them apart", async () => {
    const tasks: string[][] = [];
    const queue = queueOf(tasks);
    const infos = [layer("1", "a"), layer("2", "b"), layer("3", "a"), layer("4", "a", 1 << 30)];
    const packed = await Promise.all(infos.map((info) => queue.pack(info)));
    assert.deepEqual(
      packed.map(({ digest }) => digest),
      infos.map(({ id }) => sha256(id)),
    );
    assert.deepEqual(tasks.sort(), [["1", "3"], ["2"], ["4"]]);
  });

  it("fails what was in a task that failed, and nothing else", async () => {
    const queue = queueOf([]);
    const outcomes = await Promise.allSettled(
      [layer("1", "a"), layer("lost", "a"), layer("2", "b")].map((info) => queue.pack(info)),
    );
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ["rejected", "rejected", "fulfilled"],
    );
    assert.equal((await queue.pack(layer("3", "a"))).digest, sha256("3"));
  });
});
