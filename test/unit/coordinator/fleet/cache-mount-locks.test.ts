import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MemoryKeyValueStore, MemoryMessageBus, subjects } from "../../../../src/bus/index.ts";
import { AgentRegistry } from "../../../../src/coordinator/fleet/agent-registry.ts";
import { CacheMountLocks } from "../../../../src/coordinator/fleet/cache-mount-locks.ts";
import { CoordinatorSilence } from "../../../../src/coordinator/fleet/coordinator-silence.ts";
import { BuildError } from "../../../../src/core/errors/build-error.ts";
import { Code } from "../../../../src/core/errors/code.ts";
import type { Clock } from "../../../../src/core/seams/clock.ts";
import { silentLogger } from "../../../../src/core/seams/logger.ts";
import { decode, encode } from "../../../../src/util/msgpack.ts";

/** Coordinators on one bus and bucket. Their clocks tick as fast as the event loop turns. */
class Fleet implements AsyncDisposable {
  readonly bus = new MemoryMessageBus();
  readonly store = new MemoryKeyValueStore();
  readonly clock: Clock = { now: () => 0, sleep: async () => void (await new Promise(setImmediate)) };
  readonly #owned = new AsyncDisposableStack();

  async coordinator(id: string): Promise<CacheMountLocks> {
    const { bus, clock } = this;
    const registry = this.#owned.use(new AgentRegistry({ coordinatorId: id, bus, logger: silentLogger }));
    const coordinators = this.#owned.use(new CoordinatorSilence(id, bus));
    const bucket = await this.store.open("locks");
    return this.#owned.use(
      await CacheMountLocks.open({
        coordinatorId: id,
        bus,
        registry,
        coordinators,
        bucket,
        clock,
        logger: silentLogger,
      }),
    );
  }

  async beat(id: string, times = 1): Promise<void> {
    for (let i = 0; i < times; i++) this.bus.publish(subjects.coordinatorHeartbeat(id), encode({ id }));
    await this.bus.flush();
  }

  async agentRuns(...running: readonly string[]): Promise<void> {
    this.bus.publish(subjects.agentHeartbeat("agent"), encode({ id: "agent", epoch: "e", running }));
    await this.bus.flush();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }
}

const { signal } = new AbortController();
const quiet = { signal, onWait: () => {} };
const ended = Promise.resolve();
/** Long enough for whatever can happen to have happened. */
const settle = async () => {
  for (let i = 0; i < 30; i++) await new Promise(setImmediate);
};
const isHeld = async (taken: Promise<unknown>) => {
  await settle();
  return (await Promise.race([taken, "waiting"])) !== "waiting";
};

describe("CacheMountLocks", () => {
  it("lets one attempt of the fleet have a mount, and says which one is waited for", async () => {
    await using fleet = new Fleet();
    const [one, two] = [await fleet.coordinator("c1"), await fleet.coordinator("c2")];
    const first = await one.acquire(["k"], "t1", quiet);
    const told: string[] = [];
    const second = two.acquire(["k"], "t2", {
      signal,
      onWait: (key) => void told.push(key),
    });
    assert.equal(await isHeld(second), false);
    assert.ok(told.length > 0 && told.every((key) => key === "k"));
    (await two.acquire(["other"], "t3", quiet)).release(ended);
    assert.equal(await first.holds("k"), true);
    first.release(ended);
    assert.equal(await (await second).holds("k"), true);
    assert.equal(await first.holds("k"), false);
  });

  it("keeps the order of arrival within a coordinator, and lets all have their turn in the end", async () => {
    await using fleet = new Fleet();
    const heads = [await fleet.coordinator("c1"), await fleet.coordinator("c2")];
    await fleet.beat("c1");
    await fleet.beat("c2");
    const order: string[] = [];
    let inside = 0;
    const steps = heads.flatMap((head, h) =>
      Array.from({ length: 5 }, async (_, i) => {
        const held = await head.acquire(["k"], `t${h}${i}`, quiet);
        assert.equal(++inside, 1);
        order.push(`${h}${i}`);
        await new Promise(setImmediate);
        inside--;
        held.release(ended);
      }),
    );
    await Promise.all(steps);
    for (const h of ["0", "1"]) {
      assert.deepEqual(
        order.filter((name) => name.startsWith(h)),
        [0, 1, 2, 3, 4].map((i) => `${h}${i}`),
      );
    }
  });

  it("takes several in one order, so that nobody waits in a circle", async () => {
    await using fleet = new Fleet();
    const heads = [await fleet.coordinator("c1"), await fleet.coordinator("c2")];
    const keys = ["a", "b", "c", "d"];
    const steps = heads.flatMap((head, h) =>
      keys.map(async (_, i) => {
        const rotated = [...keys.slice(i), ...keys.slice(0, i)];
        const held = await head.acquire(h === 0 ? rotated : rotated.reverse(), `t${h}${i}`, quiet);
        await new Promise(setImmediate);
        held.release(ended);
      }),
    );
    await Promise.all(steps);
  });

  it("gives back what it took when the wait is aborted", async () => {
    await using fleet = new Fleet();
    const locks = await fleet.coordinator("c1");
    const held = await locks.acquire(["b"], "t1", quiet);
    const abort = new AbortController();
    const waiting = locks.acquire(["a", "b"], "t2", { ...quiet, signal: abort.signal });
    assert.equal(await isHeld(waiting), false);
    abort.abort(new Error("enough"));
    await assert.rejects(waiting, { message: "enough" });
    (await locks.acquire(["a"], "t3", quiet)).release(ended);
    held.release(ended);
    await locks.acquire(["b"], "t4", quiet);
  });

  it("holds on until the cancelled task has ended", async () => {
    await using fleet = new Fleet();
    const locks = await fleet.coordinator("c1");
    const stopped = Promise.withResolvers<void>();
    (await locks.acquire(["k"], "t1", quiet)).release(stopped.promise);
    const next = locks.acquire(["k"], "t2", quiet);
    assert.equal(await isHeld(next), false);
    stopped.resolve();
    await next;
  });

  it("takes over from a coordinator that is gone, once no agent runs its task, which is told to end", async () => {
    await using fleet = new Fleet();
    const dead = await fleet.coordinator("dead");
    await dead.acquire(["k"], "t1", quiet);
    const cancelled: unknown[] = [];
    fleet.bus.subscribe(subjects.agentCancel("agent"), ({ data }) => void cancelled.push(decode(data)));
    const locks = await fleet.coordinator("c2");
    await fleet.agentRuns("t1");
    const next = locks.acquire(["k"], "t2", quiet);
    await fleet.beat("dead");
    await fleet.beat("c2", 5);
    assert.equal(await isHeld(next), false);
    assert.deepEqual(cancelled, []);
    await fleet.beat("c2", 1);
    assert.equal(await isHeld(next), false);
    assert.deepEqual(cancelled[0], { taskId: "t1" });
    await fleet.agentRuns();
    assert.equal(await (await next).holds("k"), true);
  });

  it("gives back a lock that it took without hearing so, for the bus was away", async () => {
    await using fleet = new Fleet();
    const bucket = await fleet.store.open("locks");
    let written: Promise<unknown> = Promise.resolve();
    const deaf = {
      ...{ get: bucket.get.bind(bucket), put: bucket.put.bind(bucket), update: bucket.update.bind(bucket) },
      ...{ delete: bucket.delete.bind(bucket), watch: bucket.watch.bind(bucket) },
      create: async (key: string, value: Uint8Array) => {
        written = settle().then(() => bucket.create(key, value));
        throw new BuildError(Code.Unavailable, "no answer", { infrastructure: true });
      },
    };
    const open = fleet.store.open.bind(fleet.store);
    fleet.store.open = async () => deaf;
    const one = await fleet.coordinator("c1");
    fleet.store.open = open;
    const two = await fleet.coordinator("c2");
    await assert.rejects(one.acquire(["k"], "t1", quiet), /no answer/);
    await written;
    (await two.acquire(["k"], "t2", quiet)).release(ended);
  });
});
