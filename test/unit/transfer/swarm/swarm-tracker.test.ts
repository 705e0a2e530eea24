import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ChunkSet } from "../../../../src/transfer/swarm/chunk-set.ts";
import type { SwarmAsk } from "../../../../src/transfer/swarm/messages.ts";
import { SwarmTracker } from "../../../../src/transfer/swarm/swarm-tracker.ts";

const count = 40;
const all = [...Array(count).keys()];

function setUp() {
  let time = 0;
  const tracker = new SwarmTracker(count, () => time);
  const ask = (from: string, have: readonly number[], more: Partial<SwarmAsk> = {}): number[] => {
    const set = new ChunkSet(count);
    for (const chunk of have) set.add(chunk);
    const want = all.filter((chunk) => !set.has(chunk));
    const full = {
      from,
      have: set.encode(),
      want,
      count: 8,
      insist: false,
      digestsFrom: 0,
      seen: 0,
      lost: [],
      ...more,
    };
    tracker.heard(full);
    return tracker.give(full);
  };
  return { tracker, ask, pass: (ms: number) => (time += ms) };
}

describe("SwarmTracker", () => {
  it("gives each chunk to one agent", () => {
    const { ask, pass } = setUp();
    const names = ["a", "b", "c", "d"];
    const have = new Map(names.map((name) => [name, [] as number[]]));
    for (const name of names) ask(name, [], { count: 0 });
    for (let round = 0; round < 60; round++) {
      for (const name of names) {
        const own = have.get(name) ?? [];
        own.push(...ask(name, own));
        pass(10);
      }
    }
    assert.deepEqual(
      [...have.values()].flat().sort((x, y) => x - y),
      all,
    );
    for (const own of have.values()) assert.ok(own.length > 4, "not evenly");
  });

  it("tells those who fetch of each other", () => {
    const { tracker, ask } = setUp();
    ask("a", []);
    ask("b", []);
    const empty = { have: "", want: [], count: 0, insist: false, digestsFrom: 0, seen: 0, lost: [] };
    assert.deepEqual(tracker.heard({ ...empty, from: "c" }), ["a", "b"]);
    assert.deepEqual(tracker.heard({ ...empty, from: "a" }), ["b", "c"]);
  });

  it("gives what an agent took with it that is heard of no more", () => {
    const { ask, pass } = setUp();
    assert.deepEqual(ask("a", [], { want: [3] }), [3]);
    assert.deepEqual(ask("b", [], { want: [3] }), []);
    pass(1600);
    assert.deepEqual(ask("b", [], { want: [3] }), [3]);
  });

  it("gives what an agent has that the asker cannot reach, or when the asker insists", () => {
    const { ask } = setUp();
    ask("a", [3], { count: 0 });
    assert.deepEqual(ask("b", [], { want: [3] }), []);
    assert.deepEqual(ask("b", [], { want: [3], lost: ["a"] }), [3]);
    assert.deepEqual(ask("c", [], { want: [3], insist: true }), [3]);
  });

  it("gives again what an agent does not seem to get", () => {
    const { ask, pass } = setUp();
    ask("a", [], { want: [3] });
    for (let second = 0; second < 10; second++) {
      ask("a", [], { count: 0 });
      pass(1000);
    }
    assert.deepEqual(ask("b", [], { want: [3] }), [3]);
  });

  it("counts on nobody who gives nothing to others", () => {
    const { ask } = setUp();
    const ofNobody = { from: undefined } as unknown as Partial<SwarmAsk>;
    assert.deepEqual(ask("", [], { want: [3], ...ofNobody }), [3]);
    assert.deepEqual(ask("b", [], { want: [3] }), [3]);
  });
});
