import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { allOrAbort } from "../../../src/util/all-or-abort.ts";

const { signal } = new AbortController();

describe("allOrAbort", () => {
  it("returns what all return, in their order", async () => {
    assert.deepEqual(await allOrAbort([1, 2, 3], signal, async (item) => item * 2), [2, 4, 6]);
  });

  it("throws the first failure once the others, aborted, have ended", async () => {
    const ended: string[] = [];
    const work = async (item: string, both: AbortSignal) => {
      try {
        if (item === "bad") throw new Error("first");
        await new Promise((_, reject) => both.addEventListener("abort", () => reject(new Error("later"))));
      } finally {
        await new Promise(setImmediate);
        ended.push(item);
      }
    };
    await assert.rejects(allOrAbort(["a", "bad", "b"], signal, work), /first/);
    assert.deepEqual(ended.sort(), ["a", "b", "bad"]);
  });
});
