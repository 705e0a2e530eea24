import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { WorkerPool } from "../../../src/filesystem/index.ts";

/** A thread that answers each job with its own number. */
const entry = new URL(
  `data:text/javascript,${encodeURIComponent(`
    import { parentPort, threadId } from "node:worker_threads";
    parentPort.on("message", ({ id }) => parentPort.postMessage({ id, result: threadId }));
  `)}`,
);

describe("WorkerPool", () => {
  it("starts threads when they are needed and ends them when they have been idle", async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    await using pool = new WorkerPool({ entry, size: 1, idleMs: 1000 });
    const first = await pool.run<number>("any", undefined);
    t.mock.timers.tick(999);
    assert.equal(await pool.run<number>("any", undefined), first);
    t.mock.timers.tick(999);
    {
      using lease = pool.lease();
      t.mock.timers.tick(2000);
      assert.equal(await lease.run<number>("any", undefined), first);
    }
    t.mock.timers.tick(1000);
    assert.notEqual(await pool.run<number>("any", undefined), first);
  });
});
