import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { LiveCoordinators, MemoryKeyValueStore, MemoryMessageBus, subjects } from "../../../../src/bus/index.ts";
import { FleetHolds } from "../../../../src/coordinator/fleet/fleet-holds.ts";
import { FleetResultStorage } from "../../../../src/coordinator/fleet/fleet-result-storage.ts";
import { IndexCleaner } from "../../../../src/coordinator/fleet/index-cleaner.ts";
import { KnownAgents } from "../../../../src/coordinator/fleet/known-agents.ts";
import { LayerCatalog } from "../../../../src/coordinator/fleet/layer-catalog.ts";
import { LayerOrigins } from "../../../../src/coordinator/fleet/layer-origins.ts";
import { HeldLayers } from "../../../../src/coordinator/ops/held-layers.ts";
import { silentLogger } from "../../../../src/core/seams/logger.ts";
import { type Digest, sha256 } from "../../../../src/core/values/digest.ts";
import type { BlobOrigin, LayerId } from "../../../../src/core/values/layer.ts";
import { KeyValueCacheKeyStorage } from "../../../../src/solver/index.ts";
import { encode } from "../../../../src/util/msgpack.ts";

const dayMs = 86_400_000;
const id = (text: string) => text as LayerId;
const link = { input: 0, output: 0, digest: sha256("op"), selector: "" };
const descriptor = { mediaType: "m", digest: `sha256:${"0".repeat(64)}` as Digest, size: 1 };
const inRegistry: BlobOrigin = { kind: "registry", repository: "r/i", descriptor };
const ofClient: BlobOrigin = { kind: "session", sessionId: "gone", storeId: "s", descriptor };

/** One coordinator's view of an index in buckets that all share. */
async function openCoordinator(
  name: string,
  fleet: { bus: MemoryMessageBus; store: MemoryKeyValueStore; agents: ReadonlySet<string>; now: () => number },
  owned: AsyncDisposableStack,
) {
  const { bus, store, agents, now } = fleet;
  const clock = { now, sleep: async () => {} };
  const held: HeldLayers = new HeldLayers((layer) => catalog.letGo(layer));
  const catalog: LayerCatalog = owned.use(
    await LayerCatalog.open(await store.open("layers"), (layer) => held.has(layer)),
  );
  const results = owned.use(
    await FleetResultStorage.open(
      await store.open("results"),
      (layer) => catalog.find(layer),
      async () => true,
    ),
  );
  const mountHolders = new Set<string>();
  const keys = owned.use(await KeyValueCacheKeyStorage.open(await store.open("cache-keys")));
  const registry = { get: (agent: string) => (agents.has(agent) ? ({ id: agent } as never) : undefined) };
  const cleaner = owned.use(
    new IndexCleaner({
      catalog,
      origins: new LayerOrigins(await store.open("lineage"), silentLogger),
      results,
      keys,
      holds: owned.use(
        new FleetHolds({
          coordinatorId: name,
          bus,
          clock,
          coordinators: owned.use(new LiveCoordinators(bus, { settleMs: 0 })),
          held: () => [...held.layers, ...catalog.recent],
        }),
      ),
      cacheMounts: { agents: mountHolders, forgetAgent: async (agent) => void mountHolders.delete(agent) },
      agents: new KnownAgents(await store.open("agents"), registry, clock),
      sessionIsLive: () => false,
      clock,
      logger: silentLogger,
    }),
  );
  const layer = async (layerId: string, holders: readonly string[], origins: readonly BlobOrigin[] = []) => {
    await catalog.record([{ id: id(layerId), blobs: [], origins, holders, sizeBytes: 1, createdAt: 1 }]);
    // As after a build that held it.
    catalog.letGo(id(layerId));
  };
  /** Stores a result that a chain of keys leads to. */
  const result = async (chain: readonly string[], layers: readonly string[]) => {
    const record = await results.save({ layers: layers.map(id) }, now());
    await keys.addResult(chain.at(-1) ?? "", record);
    for (const [place, key] of chain.slice(0, -1).entries()) await keys.addLink(key, link, chain[place + 1] ?? "");
  };
  return { mountHolders, held, catalog, results, keys, cleaner, layer, result };
}

describe("cleaning the index", () => {
  let owned: AsyncDisposableStack;
  let bus: MemoryMessageBus;
  let store: MemoryKeyValueStore;
  let agents: Set<string>;
  let now: number;
  let one: Awaited<ReturnType<typeof openCoordinator>>;
  let two: Awaited<ReturnType<typeof openCoordinator>>;

  beforeEach(async () => {
    owned = new AsyncDisposableStack();
    bus = owned.use(new MemoryMessageBus());
    store = new MemoryKeyValueStore();
    agents = new Set(["a"]);
    now = 100 * dayMs;
    const fleet = { bus, store, agents, now: () => now };
    one = await openCoordinator("one", fleet, owned);
    two = await openCoordinator("two", fleet, owned);
    for (const name of ["one", "two"]) bus.publish(subjects.coordinatorHeartbeat(name), encode({ id: name }));
    await bus.flush();
  });
  afterEach(() => owned.disposeAsync());

  const bucketKeys = async (bucket: string) => {
    const found: string[] = [];
    const opened = await store.open(bucket);
    using watch = opened.watch("", ({ key, value }) => {
      if (value !== undefined) found.push(key);
    });
    await watch.ready;
    return found.sort();
  };
  const cacheKeys = async (coordinator = one) => (await Array.fromAsync(coordinator.keys.keys())).sort();

  it("drops what nobody has with all that leads to it, and keeps keys that lead elsewhere too", async () => {
    await one.layer("kept", ["a"]);
    await one.layer("lost", ["a"]);
    await one.result(["root", "kept-key"], ["kept"]);
    await one.result(["root", "mid", "lost-key"], ["kept", "lost"]);
    await one.catalog.dropHolder([id("lost")], "a");
    await one.cleaner.forgetLayers(new Set([id("lost")]));
    assert.deepEqual(await cacheKeys(), ["kept-key", "root"]);
    assert.deepEqual(await bucketKeys("layers"), ["kept"]);
    assert.equal((await bucketKeys("results")).length, 1);
    assert.equal((await bucketKeys("cache-keys")).length, 2);
  });

  it("leaves nothing when everything was pruned", async () => {
    await one.layer("base", ["a"], [inRegistry]);
    await one.layer("lazy", [], [inRegistry]);
    await one.layer("made", ["a"]);
    await one.result(["image"], ["base"]);
    await one.result(["lazy-image"], ["lazy"]);
    await one.result(["scratch"], []);
    await one.result(["image", "step"], ["base", "made"]);
    const pruned = ["base", "made"].map((layer) => ({ id: layer, agentId: "a" }) as never);
    await one.cleaner.pruned(pruned, true);
    for (const bucket of ["layers", "results", "cache-keys"]) assert.deepEqual(await bucketKeys(bucket), [], bucket);
  });

  it("keeps what is only in a registry for a week, and what is at a client that is gone not at all", async () => {
    await one.layer("lazy", [], [inRegistry]);
    await one.layer("client", [], [ofClient]);
    await one.result(["image"], ["lazy"]);
    await one.result(["import"], ["client"]);
    await one.cleaner.clean();
    assert.deepEqual(await bucketKeys("layers"), ["lazy"]);
    now += 8 * dayMs;
    await one.cleaner.clean();
    assert.deepEqual(await bucketKeys("layers"), []);
    assert.deepEqual(await cacheKeys(), []);
  });

  it("keeps what builds of any coordinator hold, or are about to hold", async () => {
    await one.layer("held", [], [inRegistry]);
    await one.result(["image"], ["held"]);
    const release = two.held.pin([id("held")]);
    const info = { id: id("about"), blobs: [], origins: [inRegistry], holders: [], sizeBytes: 1, createdAt: 1 };
    await two.catalog.record([info]);
    await one.cleaner.clean(true);
    assert.deepEqual(await bucketKeys("layers"), ["about", "held"]);
    assert.deepEqual(await cacheKeys(), ["image"]);
    release();
    two.catalog.letGo(id("about"));
    await one.cleaner.clean(true);
    assert.deepEqual(await bucketKeys("layers"), []);
  });

  it("brings back what another coordinator drops while a build begins to hold it", async () => {
    await one.layer("l", [], [inRegistry]);
    await bus.flush();
    two.held.hold({ layers: [id("l")] });
    await one.catalog.discard([id("l")]);
    await new Promise(setImmediate);
    assert.notEqual(two.catalog.get(id("l")), undefined);
    assert.deepEqual(await bucketKeys("layers"), ["l"]);
  });

  it("forgets an agent that has not been heard for a week, with all that only it had", async () => {
    agents.add("lost");
    await one.layer("on-lost", ["lost"]);
    await one.layer("on-both", ["lost", "a"]);
    await one.result(["x"], ["on-lost"]);
    await one.result(["y"], ["on-both"]);
    await one.cleaner.clean();
    agents.delete("lost");
    now += 6 * dayMs;
    await two.cleaner.clean();
    assert.deepEqual(await bucketKeys("layers"), ["on-both", "on-lost"]);
    now += 2 * dayMs;
    await two.cleaner.clean();
    assert.deepEqual(await bucketKeys("layers"), ["on-both"]);
    assert.deepEqual(one.catalog.get(id("on-both"))?.holders, ["a"]);
    assert.deepEqual(await cacheKeys(two), ["y"]);
    assert.deepEqual(await bucketKeys("agents"), ["a"]);
    agents.delete("a");
    await two.catalog.dropHolder([id("on-both")], "a");
    now += 8 * dayMs;
    await two.cleaner.clean();
    assert.deepEqual(await bucketKeys("agents"), []);
  });

  it("forgets the cache mounts of an agent that has not been heard for a week", async () => {
    one.mountHolders.add("lost").add("a");
    await one.cleaner.clean();
    now += 8 * dayMs;
    await one.cleaner.clean();
    assert.deepEqual([...one.mountHolders], ["a"]);
  });

  it("gives a result two rounds to get its key", async () => {
    await one.layer("l", ["a"]);
    await one.results.save({ layers: [id("l")] }, now);
    await one.cleaner.clean();
    assert.equal((await bucketKeys("results")).length, 1);
    await one.cleaner.clean();
    assert.deepEqual(await bucketKeys("results"), []);
  });

  it("cleans nothing while a coordinator does not say what it holds", async () => {
    await one.layer("lazy", [], [inRegistry]);
    bus.publish(subjects.coordinatorHeartbeat("silent"), encode({ id: "silent" }));
    await bus.flush();
    await one.cleaner.clean(true);
    assert.deepEqual(await bucketKeys("layers"), ["lazy"]);
  });
});
