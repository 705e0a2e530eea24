import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MemoryKeyValueStore, PatientKeyValueStore } from "../../../src/bus/index.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import type { Clock } from "../../../src/core/seams/clock.ts";
import type { KeyValue } from "../../../src/core/seams/key-value.ts";
import { runKeyValueSuite } from "../../conformance/key-value-suite.ts";

const clock: Clock = { now: () => 0, sleep: async () => {} };
const forever = { clock, isOver: () => false };
runKeyValueSuite("patient", (use) => use(new PatientKeyValueStore(new MemoryKeyValueStore(), forever)));

describe("PatientKeyValueStore", () => {
  const bytes = (text: string) => Buffer.from(text);
  const away = () => new BuildError(Code.Unavailable, "timeout", { infrastructure: true });

  /** A bucket whose server fails the next calls, before or after it has done what they ask. */
  async function open(options: Partial<ConstructorParameters<typeof PatientKeyValueStore>[1]> = {}) {
    const inner = await new MemoryKeyValueStore().open("b");
    const faults: ("before" | "after")[] = [];
    const call = async <R>(work: () => Promise<R>): Promise<R> => {
      const fault = faults.shift();
      if (fault === "before") throw away();
      const answer = await work();
      if (fault === "after") throw away();
      return answer;
    };
    const failing: KeyValue = {
      get: (key) => call(() => inner.get(key)),
      put: (key, value) => call(() => inner.put(key, value)),
      create: (key, value) => call(() => inner.create(key, value)),
      update: (key, value, revision) => call(() => inner.update(key, value, revision)),
      delete: (key, revision) => call(() => inner.delete(key, revision)),
      watch: (prefix, onEntry) => inner.watch(prefix, onEntry),
    };
    const store = new PatientKeyValueStore({ open: async () => failing }, { ...forever, ...options });
    return { inner, faults, bucket: await store.open("b") };
  }

  it("repeats what was not answered", async () => {
    const { bucket, faults } = await open();
    faults.push("before", "before", "after");
    await bucket.put("k", bytes("1"));
    faults.push("before");
    assert.deepEqual((await bucket.get("k"))?.value, bytes("1"));
    faults.push("after", "before");
    await bucket.delete("k");
    assert.equal(await bucket.get("k"), undefined);
  });

  it("knows its own change again", async () => {
    const { bucket, faults, inner } = await open();
    faults.push("after");
    const created = await bucket.create("k", bytes("1"));
    assert.equal((await inner.get("k"))?.revision, created);
    faults.push("before", "after");
    const updated = await bucket.update("k", bytes("2"), created);
    assert.equal((await inner.get("k"))?.revision, updated);
    faults.push("after");
    await bucket.delete("k", updated);
    assert.equal(await inner.get("k"), undefined);
  });

  it("loses a race to somebody else's change", async () => {
    const { bucket, faults, inner } = await open();
    const revision = await inner.put("k", bytes("theirs"));
    await assert.rejects(bucket.create("k", bytes("theirs")), { code: Code.AlreadyExists });
    faults.push("before");
    await assert.rejects(bucket.create("k", bytes("mine")), { code: Code.AlreadyExists });
    await inner.put("k", bytes("theirs again"));
    faults.push("before");
    await assert.rejects(bucket.update("k", bytes("mine"), revision), { code: Code.Aborted });
    faults.push("before");
    await assert.rejects(bucket.delete("k", revision), { code: Code.Aborted });
  });

  it("gives up in time, and at once when it is over", async () => {
    const { bucket, faults } = await open({ patienceMs: -1 });
    faults.push("before");
    await assert.rejects(bucket.put("k", bytes("1")), /timeout/);
    const over = await open({ isOver: () => true });
    over.faults.push("before");
    await assert.rejects(over.bucket.put("k", bytes("1")), /timeout/);
    assert.deepEqual(over.faults, []);
  });
});
