import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type ChunkRead, ChunkSchedule } from "../../../../src/transfer/swarm/chunk-schedule.ts";
import { ChunkSet } from "../../../../src/transfer/swarm/chunk-set.ts";

function setOf(count: number, chunks: Iterable<number>): ChunkSet {
  const set = new ChunkSet(count);
  for (const chunk of chunks) set.add(chunk);
  return set;
}

interface Run {
  readonly count: number;
  /** Chunks of each peer that has not all. */
  readonly partial: readonly (readonly number[])[];
  /** Whether the n-th read ends well, and which of those under way ends first. */
  readonly luck: readonly { readonly good: boolean; readonly which: number }[];
}

const runs: fc.Arbitrary<Run> = fc.integer({ min: 1, max: 120 }).chain((count) =>
  fc.record({
    count: fc.constant(count),
    partial: fc.array(fc.array(fc.nat(count - 1)), { maxLength: 6 }),
    luck: fc.array(fc.record({ good: fc.boolean(), which: fc.nat(100) }), { maxLength: 400 }),
  }),
);

/** Follows a schedule to its end as a download does, with time that counts steps. */
function follow({ count, partial, luck }: Run): number {
  const done = new ChunkSet(count);
  const schedule = new ChunkSchedule(done, () => true);
  const have = new Map(partial.map((chunks, index) => [`peer ${index}`, setOf(count, chunks)]));
  const names = [...have.keys(), "holder"];
  for (const [name, set] of have) schedule.peerHas(name, set, false);
  schedule.peerHas("holder", ChunkSet.full(count), true);
  const given = new Set<number>();
  const underWay: ChunkRead[] = [];
  let reads = 0;
  for (let step = 0; !done.complete; step++) {
    assert.ok(step < 20 * count + 3000, "it comes to no end");
    const wanted = schedule.wanted("holder", names);
    const take = wanted.chunks.slice(0, wanted.count);
    for (const chunk of take) given.add(chunk);
    schedule.answered("holder", wanted.chunks, take, step);
    for (let read = schedule.next(names, -1); read !== undefined; read = schedule.next(names, -1)) {
      const { peer, chunk } = read;
      assert.equal(done.has(chunk), false, "a chunk that is here is read");
      assert.ok(!underWay.some((other) => other.chunk === chunk), "a chunk is read twice at once");
      assert.ok(underWay.filter((other) => other.peer === peer).length < 4, "too many reads from one peer");
      assert.ok(peer === "holder" ? given.has(chunk) : have.get(peer)?.has(chunk), "the peer does not have it");
      schedule.begin(read, step);
      underWay.push(read);
    }
    const { good, which } = luck[reads++] ?? { good: true, which: 0 };
    const [ended] = underWay.splice(which % Math.max(1, underWay.length), 1);
    if (ended === undefined) continue;
    if (good) done.add(ended.chunk);
    schedule.end(ended);
  }
  return reads;
}

describe("ChunkSchedule", () => {
  it("brings all chunks, each from who has it and at one place at a time, whatever fails on the way", () => {
    fc.assert(fc.property(runs, (run) => void follow(run)));
  });

  it("reads nothing twice when nothing fails", () => {
    fc.assert(fc.property(runs, (run) => assert.equal(follow({ ...run, luck: [] }), run.count)));
  });

  it("asks holders for nothing that another has", () => {
    const schedule = new ChunkSchedule(new ChunkSet(10), () => true);
    schedule.peerHas("holder", ChunkSet.full(10), true);
    schedule.peerHas("other", setOf(10, [0, 1, 2]), false);
    assert.deepEqual(schedule.wanted("holder", ["holder", "other"]).chunks, [3, 4, 5, 6, 7, 8, 9]);
    // Who is not to be used does not count.
    assert.equal(schedule.wanted("holder", ["holder"]).chunks.length, 10);
  });

  it("reads first what fewest have", () => {
    const schedule = new ChunkSchedule(new ChunkSet(4), () => true);
    schedule.peerHas("a", setOf(4, [0, 1, 2]), false);
    schedule.peerHas("b", setOf(4, [0, 1, 3]), false);
    schedule.peerHas("c", setOf(4, [0, 1, 3]), false);
    assert.deepEqual(schedule.next(["a", "b", "c"], -1), { peer: "a", chunk: 2 });
  });

  it("reads a second time elsewhere what is slow to come, once there is nothing else to do", () => {
    const done = new ChunkSet(2);
    const schedule = new ChunkSchedule(done, () => true);
    schedule.peerHas("a", setOf(2, [0, 1]), false);
    schedule.begin({ peer: "a", chunk: 0 }, 10);
    schedule.peerHas("b", setOf(2, [0, 1]), false);
    const read = schedule.next(["b"], 11);
    assert.deepEqual(read, { peer: "b", chunk: 1 });
    schedule.begin({ peer: "b", chunk: 1 }, 11);
    assert.equal(schedule.next(["b"], 10), undefined, "too early");
    assert.deepEqual(schedule.next(["b"], 11), { peer: "b", chunk: 0 });
  });

  it("waits for digests, and tells what holders keep back", () => {
    const done = new ChunkSet(3);
    let known = 0;
    const schedule = new ChunkSchedule(done, (chunk) => chunk < known);
    schedule.peerHas("a", ChunkSet.full(3), false);
    assert.equal(schedule.next(["a"], -1), undefined);
    known = 1;
    assert.deepEqual(schedule.next(["a"], -1), { peer: "a", chunk: 0 });
    schedule.peerHas("holder", ChunkSet.full(3), true);
    schedule.answered("holder", [0, 1, 2], [], 5);
    assert.equal(schedule.heldUp(5), undefined);
    assert.equal(schedule.heldUp(6), 0);
  });
});
