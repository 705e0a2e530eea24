import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { LiveCoordinators, MemoryKeyValueStore, MemoryMessageBus, subjects } from "../../../../src/bus/index.ts";
import { LocalContentStore } from "../../../../src/content/index.ts";
import { silentLogger } from "../../../../src/core/seams/logger.ts";
import type { PruneOptions } from "../../../../src/core/values/agent.ts";
import type { LayerReleaseRequest, LayersDropped } from "../../../../src/core/values/agent-control.ts";
import type { LayerId } from "../../../../src/core/values/layer.ts";
import { LayerWorkers, openSnapshotter } from "../../../../src/snapshot/index.ts";
import { decode, encode } from "../../../../src/util/msgpack.ts";
import { systemClock } from "../../../../src/util/system-clock.ts";
import { AgentInventory, type TasksInHand } from "../../../../src/worker-agent/inventory/agent-inventory.ts";
import { BlobInventory } from "../../../../src/worker-agent/inventory/blob-inventory.ts";
import { GitMirrorInventory } from "../../../../src/worker-agent/inventory/git-mirror-inventory.ts";
import { LayerUses } from "../../../../src/worker-agent/inventory/layer-uses.ts";
import { NotingSnapshotter } from "../../../../src/worker-agent/inventory/noting-snapshotter.ts";
import { ReleasePoll } from "../../../../src/worker-agent/inventory/release-poll.ts";
import { CacheMountStore } from "../../../../src/worker-agent/ops/exec/index.ts";

const all: PruneOptions = {
  filter: [],
  all: true,
  keepDurationMs: 0,
  reservedSpace: 0,
  maxUsedSpace: 0,
  minFreeSpace: 0,
};
const id = (text: string) => text as LayerId;

describe("an agent's inventory", () => {
  let owned: AsyncDisposableStack;
  let root: string;
  let bus: MemoryMessageBus;
  let keyValues: MemoryKeyValueStore;
  let content: LocalContentStore;
  let snapshotter: NotingSnapshotter;
  let inventory: AgentInventory;
  let inHand: TasksInHand;
  let dropped: LayersDropped[];
  let forgotten: number;

  beforeEach(async () => {
    owned = new AsyncDisposableStack();
    root = await mkdtemp(join(tmpdir(), "inventory-"));
    owned.defer(() => rm(root, { recursive: true, force: true }));
    bus = owned.use(new MemoryMessageBus());
    keyValues = new MemoryKeyValueStore();
    inHand = { count: 0, layers: new Set(), fetchSources: false };
    dropped = [];
    forgotten = 0;
    const workers = owned.use(new LayerWorkers());
    const stored = owned.use(await openSnapshotter(join(root, "snapshots"), "native", { workers, clock: systemClock }));
    const uses = owned.use(await LayerUses.open(await keyValues.open("uses")));
    snapshotter = new NotingSnapshotter(stored, uses, () => {});
    content = await LocalContentStore.open(join(root, "content"));
    const layers = await keyValues.open("layers");
    inventory = new AgentInventory({
      agentId: "a",
      root,
      snapshotter,
      blobs: new BlobInventory({ snapshotter, content, layers, packs: await keyValues.open("packs") }),
      cacheMounts: await CacheMountStore.open({ directory: join(root, "mounts"), clock: systemClock }),
      gitMirrors: new GitMirrorInventory(join(root, "git")),
      uses,
      layers,
      poll: new ReleasePoll({
        agentId: "a",
        bus,
        clock: systemClock,
        coordinators: owned.use(new LiveCoordinators(bus, { settleMs: 0, silenceMs: 300 })),
      }),
      tasksInHand: () => inHand,
      forgetGone: async () => {
        forgotten++;
      },
      onDropped: (message) => dropped.push({ agentId: "a", ...message }),
      logger: silentLogger,
    });
  });
  afterEach(() => owned.disposeAsync());

  /** A coordinator whose builds hold some layers. */
  function coordinator(name: string, held: readonly string[] = []): void {
    owned.use(
      bus.subscribe(subjects.layerRelease(name), (message) => {
        const { ids } = decode<LayerReleaseRequest>(message.data);
        message.respond(encode(ids.filter((layer) => held.includes(layer))));
      }),
    );
    beat(name);
  }
  const beat = (name: string) => bus.publish(subjects.coordinatorHeartbeat(name), encode({ id: name }));

  async function layer(name: string, parents: readonly string[] = []): Promise<void> {
    await using active = await snapshotter.prepare({ layers: parents.map(id) });
    await writeFile(join(active.path, name), name);
    const { sizeBytes } = await active.commit(id(name));
    const parent = parents.at(-1);
    await inventory.note({
      ...{ id: id(name), blobs: [], origins: [], holders: ["a"], sizeBytes, createdAt: Date.now() },
      ...(parent === undefined ? {} : { parent: id(parent) }),
    });
  }
  const round = (patient = false) => ({ patient, signal: AbortSignal.timeout(10_000) });
  const left = async () => (await inventory.usage()).map((record) => record.id).sort();
  async function* bytes(text: string) {
    yield new TextEncoder().encode(text);
  }

  it("keeps what builds of any coordinator hold", async () => {
    coordinator("one", ["held-by-one"]);
    coordinator("two", ["held-by-two"]);
    for (const name of ["held-by-one", "held-by-two", "free"]) await layer(name);
    const { removed } = await inventory.collect([all], round());
    assert.deepEqual(
      removed.map((record) => record.id),
      ["free"],
    );
    assert.deepEqual(await left(), ["held-by-one", "held-by-two"]);
    assert.deepEqual(
      dropped.flatMap(({ ids }) => ids),
      ["free"],
    );
  });

  it("has what is gone forgotten, but not while a source is being fetched", async () => {
    coordinator("one");
    await inventory.collect([all], round());
    assert.equal(forgotten, 0);
    await layer("first");
    inHand = { count: 1, layers: new Set(), fetchSources: true };
    assert.equal((await inventory.collect([all], round())).removed.length, 1);
    assert.equal(forgotten, 0);
    inHand = { count: 0, layers: new Set(), fetchSources: false };
    await layer("second");
    await inventory.collect([all], round());
    assert.equal(forgotten, 1);
  });

  it("removes nothing when a coordinator does not answer", async () => {
    coordinator("one");
    beat("silent");
    await layer("l");
    assert.deepEqual((await inventory.collect([all], round())).removed, []);
    assert.deepEqual(await left(), ["l"]);
  });

  it("drops the layers it is told to, but for those that are needed", async () => {
    coordinator("one", ["held"]);
    for (const name of ["dropped", "held", "other"]) await layer(name);
    const removed = await inventory.drop(["dropped", "held", "unknown"].map(id), round().signal);
    assert.deepEqual(
      removed.map((record) => record.id),
      ["dropped"],
    );
    assert.deepEqual(await left(), ["held", "other"]);
    assert.deepEqual(
      dropped.flatMap(({ ids }) => ids),
      ["dropped"],
    );
  });

  it("removes nothing when it hears no coordinator", async () => {
    await layer("l");
    assert.deepEqual((await inventory.collect([all], round())).removed, []);
  });

  it("waits for a coordinator until it is gone when it is asked to prune", async () => {
    coordinator("one");
    beat("silent");
    const beats = setInterval(() => beat("one"), 50);
    await layer("l");
    try {
      assert.equal((await inventory.collect([all], round(true))).removed.length, 1);
    } finally {
      clearInterval(beats);
    }
  });

  it("keeps what tasks have in hand and what it is told to keep, with what is below", async () => {
    coordinator("one");
    await layer("base");
    await layer("child", ["base"]);
    await layer("in-hand", ["base"]);
    await layer("free");
    inHand = { count: 1, layers: new Set([id("in-hand")]), fetchSources: false };
    await inventory.collect([all], { ...round(), keep: ["child"] });
    assert.deepEqual(await left(), ["base", "child", "in-hand"]);
  });

  it("forgets layers whose removal was cut short, so that their blobs go too", async () => {
    coordinator("one");
    const { digest, size } = await content.write(bytes("blob of a removed layer"));
    const longAgo = new Date(Date.now() - 120_000);
    await utimes(content.path(digest), longAgo, longAgo);
    const [packs, layers] = [await keyValues.open("packs"), await keyValues.open("layers")];
    await packs.put("removed/gzip", encode({ mediaType: "m", digest, size }));
    const info = { id: "removed", blobs: [], origins: [], holders: ["a"], sizeBytes: 1, createdAt: 1 };
    await layers.put("removed", encode(info));
    await inventory.recover();
    await inventory.collect([all], round());
    assert.equal(await content.stat(digest), undefined);
    assert.equal(await layers.get("removed"), undefined);
  });

  it("takes the blobs of a layer away with it, and those of none", async () => {
    coordinator("one");
    await layer("packed");
    const blob = await content.write(bytes("blob of a layer"));
    const loose = await content.write(bytes("blob of none"));
    const long = new Date(Date.now() - 3_600_000);
    await utimes(content.path(loose.digest), long, long);
    const packs = await keyValues.open("packs");
    await packs.put("packed/gzip", encode({ mediaType: "m", digest: blob.digest, size: blob.size }));
    const [record] = await inventory.usage();
    assert.ok(record !== undefined && record.sizeBytes >= blob.size + "packed".length);
    const { usedBytes } = await inventory.collect([all], round());
    assert.equal(usedBytes, 0);
    assert.equal(await content.stat(blob.digest), undefined);
    assert.equal(await content.stat(loose.digest), undefined);
    assert.equal(await packs.get("packed/gzip"), undefined);
  });

  it("takes a blob away that two layers shared, with the last of them", async () => {
    const held = ["second"];
    coordinator("one", held);
    const { digest, size } = await content.write(bytes("blob of both"));
    const longAgo = new Date(Date.now() - 120_000);
    await utimes(content.path(digest), longAgo, longAgo);
    const packs = await keyValues.open("packs");
    for (const name of ["first", "second", "third"]) {
      await layer(name);
      await packs.put(`${name}/gzip`, encode({ mediaType: "m", digest, size }));
    }
    await inventory.collect([all], round());
    assert.deepEqual(await left(), ["second"]);
    assert.ok(await content.stat(digest));
    held.pop();
    await inventory.collect([all], round());
    assert.equal(await content.stat(digest), undefined);
  });

  it("removes what only other agents needed before any layer", async () => {
    coordinator("one");
    await layer("sent");
    const size = (await inventory.usage())[0]?.sizeBytes ?? 0;
    const blob = await content.write(bytes("x".repeat(100)));
    const long = new Date(Date.now() - 3_600_000);
    await utimes(content.path(blob.digest), long, long);
    await (await keyValues.open("packs")).put("sent/exact", encode({ digest: blob.digest, size: blob.size }));
    const { removed } = await inventory.collect([{ ...all, maxUsedSpace: size }], round());
    assert.deepEqual(removed, []);
    assert.equal(await content.stat(blob.digest), undefined);
  });

  it("comes down to a limit, with what is used most left", async () => {
    coordinator("one");
    for (const name of ["l1", "l2", "l3"]) await layer(name);
    for (let build = 0; build < 3; build++) inventory.used([id("l1"), id("of another agent")]);
    const [first] = await inventory.usage();
    const { usedBytes } = await inventory.collect([{ ...all, maxUsedSpace: first?.sizeBytes ?? 0 }], round());
    assert.deepEqual(await left(), ["l1"]);
    assert.equal(usedBytes, first?.sizeBytes);
    const [record] = await inventory.usage();
    assert.equal(record?.usageCount, 3);
  });

  it("counts builds that used a layer, not how often they mounted it, over restarts", async () => {
    await layer("base");
    await layer("child", ["base"]);
    inventory.used([id("base")]);
    await using _ = await snapshotter.view({ layers: [id("base"), id("child")] });
    const counts = async () => new Map((await inventory.usage()).map((record) => [record.id, record.usageCount]));
    assert.deepEqual(Object.fromEntries(await counts()), { base: 1, child: 0 });
    {
      await using uses = await LayerUses.open(await keyValues.open("uses"));
      uses.used([id("base")], 7);
    }
    const again = owned.use(await LayerUses.open(await keyValues.open("uses")));
    assert.deepEqual(again.get(id("base")), { count: 1, lastUsedAt: 7 });
  });

  it("counts git mirrors, and keeps them while a source is fetched", async () => {
    coordinator("one");
    const mirror = join(root, "git", "0abc.git");
    await mkdir(mirror, { recursive: true });
    await writeFile(join(mirror, "config"), '[remote "origin"]\n\turl = https://me:secret@git.example/repo.git\n');
    inHand = { count: 1, layers: new Set(), fetchSources: true };
    const { removed } = await inventory.collect([all], round());
    assert.deepEqual(removed, []);
    inHand = { count: 0, layers: new Set(), fetchSources: false };
    const [record] = await inventory.usage();
    assert.equal(record?.description, "shared git repo for https://git.example/repo.git");
    assert.ok((record?.sizeBytes ?? 0) > 0);
    await inventory.collect([all], round());
    assert.deepEqual(await left(), []);
  });
});
