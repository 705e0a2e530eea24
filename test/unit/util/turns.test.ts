import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { atOnce, inTurns } from "../../../src/util/turns.ts";

function* count(until: () => boolean): Generator<void, number> {
  for (let steps = 0; ; steps++) {
    if (until()) return steps;
    yield;
  }
}

describe("inTurns()", () => {
  it("lets others have their turn before it is done", async () => {
    let others = 0;
    const timer = setInterval(() => others++, 1);
    try {
      assert.ok((await inTurns(count(() => others === 3))) > 0);
    } finally {
      clearInterval(timer);
    }
  });

  it("stops when it is told to", async () => {
    const stop = new AbortController();
    setImmediate(() => stop.abort(new Error("enough")));
    await assert.rejects(
      inTurns(
        count(() => false),
        stop.signal,
      ),
      { message: "enough" },
    );
  });

  it("gives what the steps give, and what they throw", async () => {
    assert.equal(atOnce(count(() => true)), 0);
    const failing = count(() => {
      throw new Error("no");
    });
    await assert.rejects(inTurns(failing), { message: "no" });
  });
});
