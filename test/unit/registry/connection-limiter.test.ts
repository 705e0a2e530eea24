import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ConnectionLimiter } from "../../../src/registry/connection-limiter.ts";

const signal = new AbortController().signal;

/** Lets every promise that can settle do so. */
async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

describe("ConnectionLimiter", () => {
  it("holds transfers back, keeps one slot for JSON, and serves in order", async () => {
    const limiter = new ConnectionLimiter(2);
    const first = await limiter.acquire("r", "blob", signal);
    await limiter.acquire("r", "blob", signal);
    const order: string[] = [];
    const third = limiter.acquire("r", "blob", signal).then(() => order.push("third"));
    const fourth = limiter.acquire("r", "blob", signal).then(() => order.push("fourth"));
    const json = await limiter.acquire("r", "json", signal);
    await limiter.acquire("other", "blob", signal);
    await settle();
    assert.deepEqual(order, []);
    json[Symbol.dispose]();
    first[Symbol.dispose]();
    first[Symbol.dispose]();
    await third;
    await settle();
    assert.deepEqual(order, ["third"]);
    void fourth;
  });

  it("gives the slot of an aborted waiter to the next", async () => {
    const limiter = new ConnectionLimiter(1);
    const held = await limiter.acquire("r", "blob", signal);
    const abort = new AbortController();
    const reason = new Error("gone");
    const lost = limiter.acquire("r", "blob", abort.signal);
    const next = limiter.acquire("r", "blob", signal);
    abort.abort(reason);
    await assert.rejects(lost, reason);
    held[Symbol.dispose]();
    (await next)[Symbol.dispose]();
    await assert.rejects(limiter.acquire("r", "blob", abort.signal), reason);
  });
});
