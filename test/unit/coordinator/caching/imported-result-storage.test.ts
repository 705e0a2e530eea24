import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { JoinedCaches } from "../../../../src/cache/index.ts";
import { ImportedResultStorage } from "../../../../src/coordinator/caching/imported-result-storage.ts";
import { BuildError } from "../../../../src/core/errors/build-error.ts";
import { Code } from "../../../../src/core/errors/code.ts";
import type { CacheSource } from "../../../../src/core/seams/remote-cache.ts";
import type { Descriptor } from "../../../../src/core/values/descriptor.ts";
import { sha256 } from "../../../../src/core/values/digest.ts";
import type { LayerInfo } from "../../../../src/core/values/layer.ts";
import { pulledLayerId } from "../../../../src/core/values/layer-id.ts";
import { MediaType } from "../../../../src/core/values/media-type.ts";

const signal = new AbortController().signal;
const blob = (name: string): Descriptor => ({
  mediaType: MediaType.ociLayerGzip,
  digest: sha256(name),
  size: 1,
  annotations: {
    "containerd.io/uncompressed": sha256(`diff ${name}`),
    "buildkit/createdat": "2026-01-02T03:04:05Z",
    "buildkit/description": `RUN ${name}`,
  },
});

function setup(has: CacheSource["has"] = async () => true) {
  const recorded: LayerInfo[] = [];
  const source: CacheSource = {
    root: blob("root"),
    read: () => assert.fail("a document was read"),
    origin: (descriptor) => ({ kind: "registry", repository: "host/cache", descriptor }),
    has,
  };
  const cache: JoinedCaches = {
    records: [],
    layers: (id) => (id === "known" ? [blob("a"), blob("b")] : undefined),
  };
  const recordLayers = async (layers: readonly LayerInfo[]) => void recorded.push(...layers);
  const storage = new ImportedResultStorage({ ready: Promise.resolve({ source, cache }), recordLayers, signal });
  return { storage, recorded };
}

describe("ImportedResultStorage", () => {
  it("gives layers that stay where they are", async () => {
    const { storage, recorded } = setup();
    const ref = await storage.load({ id: "known", createdAt: 1 });
    const bottom = sha256("diff a");
    assert.deepEqual(ref?.layers, [
      pulledLayerId(bottom, sha256("a")),
      pulledLayerId(sha256(`${bottom} ${sha256("diff b")}`), sha256("b")),
    ]);
    const [layer] = recorded;
    assert.deepEqual(layer?.holders, []);
    assert.equal(layer?.origins.length, 1);
    assert.equal(layer?.diffId, bottom);
    assert.equal(layer?.createdAt, Date.parse("2026-01-02T03:04:05Z"));
    assert.equal(layer?.description, "RUN a");
    assert.deepEqual(Object.keys(layer?.blobs[0]?.annotations ?? {}), ["containerd.io/uncompressed"]);
  });

  it("takes a result with a lost blob for none", async () => {
    const { storage, recorded } = setup(async ({ digest }) => digest !== sha256("b"));
    assert.equal(await storage.load({ id: "known", createdAt: 1 }), undefined);
    assert.deepEqual(recorded, []);
  });

  it("knows its results, and none when the import failed", async () => {
    const { storage } = setup();
    assert.equal(await storage.exists("known"), true);
    assert.equal(await storage.exists("other"), false);
    const failed = new ImportedResultStorage({
      ready: Promise.resolve(undefined),
      recordLayers: () => assert.fail("layers were recorded"),
      signal,
    });
    assert.equal(await failed.exists("known"), false);
    assert.equal(await failed.load({ id: "known", createdAt: 1 }), undefined);
  });

  it("passes on that a store does not answer", async () => {
    const { storage } = setup(async () => {
      throw new BuildError(Code.Unavailable, "gone");
    });
    await assert.rejects(storage.load({ id: "known", createdAt: 1 }), { message: "gone" });
  });
});
