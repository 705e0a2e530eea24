import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { MemoryKeyValueStore, MemoryMessageBus, subjects } from "../../../../src/bus/index.ts";
import { LayerCatalog } from "../../../../src/coordinator/fleet/layer-catalog.ts";
import { LayerReleases } from "../../../../src/coordinator/fleet/layer-releases.ts";
import { HeldLayers } from "../../../../src/coordinator/ops/held-layers.ts";
import { silentLogger } from "../../../../src/core/seams/logger.ts";
import type { Digest } from "../../../../src/core/values/digest.ts";
import type { BlobOrigin, LayerId, LayerInfo } from "../../../../src/core/values/layer.ts";
import { decode, encode } from "../../../../src/util/msgpack.ts";

const id = (text: string) => text as LayerId;

describe("releasing layers", () => {
  let owned: AsyncDisposableStack;
  let bus: MemoryMessageBus;
  let catalog: LayerCatalog;
  let held: HeldLayers;
  let forgotten: PromiseWithResolvers<readonly LayerId[]>;

  beforeEach(async () => {
    owned = new AsyncDisposableStack();
    bus = owned.use(new MemoryMessageBus());
    catalog = owned.use(await LayerCatalog.open(await new MemoryKeyValueStore().open("layers")));
    held = new HeldLayers();
    forgotten = Promise.withResolvers();
    owned.use(
      new LayerReleases({
        coordinatorId: "c",
        bus,
        catalog,
        isHeld: (layer) => held.has(layer),
        forgetLayers: async (gone) => {
          await catalog.forget([...gone]);
          forgotten.resolve([...gone]);
        },
        logger: silentLogger,
      }),
    );
  });
  afterEach(() => owned.disposeAsync());

  const record = (name: string, holders: readonly string[], origins: readonly BlobOrigin[] = []) => {
    const info: LayerInfo = { id: id(name), blobs: [], origins, holders, sizeBytes: 1, createdAt: 1 };
    return catalog.record([info]);
  };
  const ask = async (agentId: string, ids: readonly string[]) =>
    decode<string[]>(await bus.request(subjects.layerRelease("c"), encode({ agentId, ids }), { timeoutMs: 1000 }));
  const dropped = (agentId: string, ids: readonly string[], kept: readonly string[] = []) =>
    bus.publish(subjects.layersDropped, encode({ agentId, ids, kept }));
  const holders = (name: string) => catalog.require(id(name)).holders;

  it("takes a layer from a holder that turned out not to have it, and keeps what is known of it", async () => {
    await record("l", ["a"]);
    bus.publish(subjects.layersDropped, encode({ agentId: "a", ids: ["l"], missing: true }));
    await bus.flush();
    assert.deepEqual(holders("l"), []);
  });

  it("names what builds hold and gives up the rest at once", async () => {
    await record("held", ["a", "b"]);
    await record("free", ["a", "b"]);
    const release = held.pin([id("held")]);
    assert.deepEqual(await ask("a", ["held", "free"]), ["held"]);
    assert.deepEqual(holders("held"), ["a", "b"]);
    assert.deepEqual(holders("free"), ["b"]);
    release();
    assert.deepEqual(await ask("a", ["held"]), []);
    assert.deepEqual(holders("held"), ["b"]);
  });

  it("takes a layer back that was not removed", async () => {
    await record("l", ["a"]);
    await ask("a", ["l"]);
    assert.deepEqual(holders("l"), []);
    dropped("a", [], ["l"]);
    await bus.flush();
    assert.deepEqual(holders("l"), ["a"]);
  });

  it("forgets what nobody has any more, and only that", async () => {
    await record("gone", ["a"]);
    await record("elsewhere", ["a", "b"]);
    const descriptor = { mediaType: "m", digest: `sha256:${"0".repeat(64)}` as Digest, size: 1 };
    await record("pulled", ["a"], [{ kind: "registry", repository: "r/i", descriptor }]);
    const all = ["gone", "elsewhere", "pulled"];
    assert.deepEqual(await ask("a", all), []);
    dropped("a", all);
    assert.deepEqual(await forgotten.promise, ["gone"]);
    assert.equal(catalog.get(id("gone")), undefined);
    assert.deepEqual(holders("elsewhere"), ["b"]);
    assert.deepEqual(holders("pulled"), []);
  });
});
