import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { describe, it } from "node:test";
import { silentLogger } from "../../../../src/core/seams/logger.ts";
import type { PruneOptions } from "../../../../src/core/values/agent.ts";
import type { AgentInventory } from "../../../../src/worker-agent/inventory/agent-inventory.ts";
import { GarbageCollector } from "../../../../src/worker-agent/inventory/garbage-collector.ts";

const rule: PruneOptions = {
  filter: [],
  all: true,
  keepDurationMs: 0,
  reservedSpace: 0,
  maxUsedSpace: 100,
  minFreeSpace: 0,
};

/** An inventory that comes down to `floor`. */
class FakeInventory implements Pick<AgentInventory, "collect"> {
  readonly rounds: (readonly PruneOptions[])[] = [];
  floor = 0;
  gate: Promise<void> = Promise.resolve();
  overlapped = false;
  #running = 0;

  async collect(rules: readonly PruneOptions[]) {
    this.rounds.push(rules);
    this.overlapped ||= ++this.#running > 1;
    await this.gate;
    this.#running--;
    return { removed: [], usedBytes: this.floor };
  }
}

function collector(inventory: FakeInventory, now: () => number): GarbageCollector {
  const clock = { now, sleep: async () => {} };
  return new GarbageCollector({ inventory, rules: [rule], root: tmpdir(), clock, logger: silentLogger });
}

describe("the garbage collector", () => {
  it("begins a round when what is stored passes the limit", async () => {
    const inventory = new FakeInventory();
    await using collecting = collector(inventory, () => 1_000_000);
    collecting.stored(60);
    assert.equal(inventory.rounds.length, 0);
    collecting.stored(60);
    assert.equal(inventory.rounds.length, 1);
    // It runs.
    collecting.stored(60);
    assert.equal(inventory.rounds.length, 1);
  });

  it("makes longer pauses while rounds do not help", async () => {
    let now = 1_000_000;
    const inventory = new FakeInventory();
    inventory.floor = 200;
    await using collecting = collector(inventory, () => now);
    const counts: number[] = [];
    for (let second = 0; second < 8; second++, now += 1000) {
      collecting.stored(200);
      await collecting.idle();
      counts.push(inventory.rounds.length);
    }
    assert.deepEqual(counts, [1, 1, 2, 2, 2, 2, 3, 3]);
  });

  it("looks again soon when builds have let go of something", async () => {
    let now = 1_000_000;
    const inventory = new FakeInventory();
    inventory.floor = 200;
    await using collecting = collector(inventory, () => now);
    const roundsWithin = async (seconds: number) => {
      const before = inventory.rounds.length;
      for (let second = 0; second < seconds; second++, now += 1000) {
        collecting.stored(200);
        await collecting.idle();
      }
      return inventory.rounds.length - before;
    };
    await roundsWithin(40);
    assert.equal(await roundsWithin(4), 0);
    collecting.letGo();
    assert.equal(await roundsWithin(4), 1);
  });

  it("makes a round of its own for a full disk, for all who wait", async () => {
    const inventory = new FakeInventory();
    await using collecting = collector(inventory, () => 1_000_000);
    const gate = Promise.withResolvers<void>();
    inventory.gate = gate.promise;
    collecting.stored(200);
    const signal = AbortSignal.timeout(5000);
    const waiting = Promise.all([collecting.outOfSpace(signal), collecting.outOfSpace(signal)]);
    gate.resolve();
    await waiting;
    assert.equal(inventory.overlapped, false);
    assert.equal(inventory.rounds.length, 2);
    assert.ok((inventory.rounds[1]?.at(-1)?.minFreeSpace ?? 0) > 0);
  });
});
