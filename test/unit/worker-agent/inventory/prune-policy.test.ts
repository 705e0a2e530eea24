import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { PruneOptions, UsageRecord } from "../../../../src/core/values/agent.ts";
import { selectVictims, spaceTarget } from "../../../../src/worker-agent/inventory/prune-policy.ts";

const now = 1_000_000;
const everything: PruneOptions = {
  filter: [],
  all: true,
  keepDurationMs: 0,
  reservedSpace: 0,
  maxUsedSpace: 0,
  minFreeSpace: 0,
};

function record(change: Partial<UsageRecord>): UsageRecord {
  return {
    id: "r",
    agentId: "a",
    mutable: false,
    inUse: false,
    sizeBytes: 1,
    createdAt: 0,
    lastUsedAt: 0,
    usageCount: 1,
    description: "",
    recordType: "regular",
    shared: false,
    parents: [],
    ...change,
  };
}

describe("the space a rule leaves", () => {
  const target = (rule: Partial<PruneOptions>, used: number, free: number) =>
    spaceTarget({ ...everything, ...rule }, used, free);

  for (const [what, rule, used, free, wanted] of [
    ["is none without limits", {}, 100, 0, undefined],
    ["is the cap", { maxUsedSpace: 60 }, 100, 0, 60],
    ["is what is reserved when that is all it says", { reservedSpace: 40 }, 100, 0, 40],
    ["is never less than what is reserved", { reservedSpace: 70, maxUsedSpace: 60 }, 100, 0, 70],
    ["gives up what the disk lacks", { minFreeSpace: 30 }, 100, 10, 80],
    ["is all of it when the disk has enough free", { minFreeSpace: 30 }, 100, 30, 100],
    ["is the lower of cap and lack", { maxUsedSpace: 90, minFreeSpace: 30 }, 100, 10, 80],
    ["is the cap when the disk has enough free", { maxUsedSpace: 90, minFreeSpace: 30 }, 100, 40, 90],
    ["keeps the reserve on a full disk", { reservedSpace: 50, minFreeSpace: 90 }, 100, 0, 50],
    ["is nothing when the disk lacks more than is used", { minFreeSpace: 300 }, 100, 0, 0],
  ] as const) {
    it(what, () => assert.equal(target(rule, used, free), wanted));
  }
});

describe("what is removed", () => {
  const chosen = (records: readonly UsageRecord[], options: Partial<PruneOptions> = {}, targetBytes?: number) =>
    selectVictims(
      records,
      { ...everything, ...options },
      {
        now,
        usedBytes: records.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
        targetBytes,
        limit: 1000,
        isKept: () => false,
      },
    ).map(({ id }) => id);

  it("is what was used long ago and seldom first", () => {
    const records = [
      record({ id: "new", lastUsedAt: 30, usageCount: 1 }),
      record({ id: "often", lastUsedAt: 10, usageCount: 9 }),
      record({ id: "old", lastUsedAt: 10, usageCount: 1 }),
      record({ id: "new and often", lastUsedAt: 30, usageCount: 9 }),
    ];
    assert.equal(chosen(records)[0], "old");
    assert.equal(chosen(records).at(-1), "new and often");
  });

  it("is no frontend, internal or shared record unless all may go", () => {
    const records = [
      record({ id: "internal", recordType: "internal" }),
      record({ id: "frontend", recordType: "frontend" }),
      record({ id: "shared", shared: true }),
      record({ id: "regular" }),
    ];
    assert.deepEqual(chosen(records, { all: false }), ["regular"]);
    assert.equal(chosen(records).length, 4);
  });

  it("is nothing used within the time to keep", () => {
    const records = [record({ id: "fresh", lastUsedAt: now - 9 }), record({ id: "stale", lastUsedAt: now - 10 })];
    assert.deepEqual(chosen(records, { keepDurationMs: 10 }), ["stale"]);
  });

  it("is what a filter names", () => {
    const records = [record({ id: "mount", recordType: "exec.cachemount" }), record({ id: "layer" })];
    assert.deepEqual(chosen(records, { filter: ["type==exec.cachemount"] }), ["mount"]);
  });

  it("is no record before what stands on it", () => {
    const records = [
      record({ id: "base", lastUsedAt: 1 }),
      record({ id: "child", lastUsedAt: 9, parents: ["base"] }),
      record({ id: "pinned", inUse: true, parents: ["under pinned"] }),
      record({ id: "under pinned" }),
    ];
    assert.deepEqual(chosen(records), ["child", "base"]);
  });

  const stores = fc
    .array(
      fc.record({
        sizeBytes: fc.nat(20),
        lastUsedAt: fc.nat(5),
        usageCount: fc.integer({ min: 1, max: 4 }),
        inUse: fc.boolean(),
        recordType: fc.constantFrom("regular", "internal", "exec.cachemount"),
        parent: fc.option(fc.nat(20), { nil: undefined }),
      }),
      { maxLength: 20 },
    )
    .map((drafts) =>
      drafts.map(({ parent, ...draft }, index) =>
        // A parent is older than its child.
        record({ ...draft, id: `r${index}`, parents: parent !== undefined && parent < index ? [`r${parent}`] : [] }),
      ),
    );
  const rules = fc.record({
    all: fc.boolean(),
    keepDurationMs: fc.constantFrom(0, now - 2),
    filter: fc.constantFrom([], ["type==regular"]),
  });

  it("does what removing one by one does", () => {
    fc.assert(
      fc.property(stores, rules, fc.option(fc.nat(150), { nil: undefined }), (records, rule, target) => {
        const options = { ...everything, ...rule };
        const victims = chosen(records, options, target);
        const left = new Map(records.map((item) => [item.id, item]));
        const used = () => [...left.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
        const mayGo = (item: UsageRecord) =>
          !item.inUse &&
          (options.all || item.recordType !== "internal") &&
          (options.filter.length === 0 || item.recordType === "regular") &&
          (options.keepDurationMs === 0 || item.lastUsedAt <= now - options.keepDurationMs) &&
          ![...left.values()].some(({ parents }) => parents.includes(item.id));
        for (const id of victims) {
          const victim = left.get(id);
          assert.ok(victim !== undefined && mayGo(victim), `${id} may go`);
          assert.ok(target === undefined || used() > target, "stops in time");
          const older = [...left.values()].find(
            (other) => mayGo(other) && other.lastUsedAt < victim.lastUsedAt && other.usageCount < victim.usageCount,
          );
          assert.equal(older, undefined, "what is older and used less goes first");
          left.delete(id);
        }
        const more = [...left.values()].some(mayGo);
        assert.ok(!more || (target !== undefined && used() <= target), "does not stop early");
      }),
    );
  });
});
