import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryKeyValueStore } from "../../../../src/bus/index.ts";
import { StepHistory } from "../../../../src/coordinator/scheduling/step-history.ts";

const outcome = (seconds: number, more = {}) => ({ seconds, cpuSeconds: seconds, peakMemoryBytes: 1e9, ...more });

async function opened(store = new MemoryKeyValueStore()) {
  return await StepHistory.open(await store.open("step-history"));
}

test("what never ran is expected to be like anything else that never ran", async () => {
  using history = await opened();
  await history.record("known", outcome(100));
  assert.deepEqual(history.estimate("new"), history.estimate(undefined));
  assert.equal(history.estimate("new").demand.slots, 1);
});

test("a step is expected to take the median of what it took, at the memory it needed at most", async () => {
  using history = await opened();
  for (const seconds of [10, 1000, 12]) await history.record("step", outcome(seconds, { cpuSeconds: seconds * 2 }));
  await history.record("step", outcome(11, { cpuSeconds: 22, peakMemoryBytes: 4e9 }));
  const { expectedSeconds, demand } = history.estimate("step");
  assert.equal(expectedSeconds, 12);
  assert.equal(demand.cpu, 2);
  assert.ok(demand.memoryBytes >= 4e9 && demand.memoryBytes < 6e9);
});

test("what was killed for memory is expected to need much more", async () => {
  using history = await opened();
  await history.record("step", outcome(1, { outOfMemory: true }));
  assert.equal(history.estimate("step").demand.memoryBytes, 2e9);
  const { expectedSeconds, demand } = history.estimate("new");
  assert.equal(history.estimate("step").expectedSeconds, expectedSeconds);
  assert.equal(history.estimate("step").demand.cpu, demand.cpu);
});

test("the last outcomes count, and those that are old are gone", async () => {
  using history = await opened();
  await history.record("step", outcome(1, { peakMemoryBytes: 60e9 }));
  for (let run = 0; run < 32; run++) await history.record("step", outcome(3));
  assert.equal(history.estimate("step").expectedSeconds, 3);
  assert.ok(history.estimate("step").demand.memoryBytes < 2e9);
});

test("other coordinators know, and later ones", async () => {
  const store = new MemoryKeyValueStore();
  using one = await opened(store);
  using other = await opened(store);
  await one.record("step", outcome(42));
  assert.equal(other.estimate("step").expectedSeconds, 42);
  using later = await opened(store);
  assert.equal(later.estimate("step").expectedSeconds, 42);
});
