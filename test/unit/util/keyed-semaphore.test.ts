import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { KeyedSemaphore } from "../../../src/util/keyed-semaphore.ts";

const signal = new AbortController().signal;

describe("KeyedSemaphore", () => {
  it("gives each key its slots, in order of asking", async () => {
    const semaphore = new KeyedSemaphore(1);
    const first = await semaphore.acquire("a", signal);
    (await semaphore.acquire("b", signal))[Symbol.dispose]();
    const order: number[] = [];
    const waiting = [2, 3].map(async (number) => {
      using _slot = await semaphore.acquire("a", signal);
      order.push(number);
    });
    await new Promise(setImmediate);
    assert.deepEqual(order, []);
    first[Symbol.dispose]();
    await Promise.all(waiting);
    assert.deepEqual(order, [2, 3]);
  });

  it("lets go of who gives up waiting", async () => {
    const semaphore = new KeyedSemaphore(1);
    const abort = new AbortController();
    const first = await semaphore.acquire("a", signal);
    const waiting = semaphore.acquire("a", abort.signal);
    abort.abort(new Error("gone"));
    await assert.rejects(waiting, { message: "gone" });
    first[Symbol.dispose]();
    using _free = await semaphore.acquire("a", signal);
  });
});
