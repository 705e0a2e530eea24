import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it, mock } from "node:test";
import { Silence } from "../../../../src/transfer/swarm/silence.ts";

describe("Silence", () => {
  beforeEach(() => mock.timers.enable({ apis: ["setTimeout", "Date"] }));
  afterEach(() => mock.timers.reset());
  const now = () => Date.now();
  /** The mock's clock shows the end of a step while timers of its midst run. */
  const pass = (ms: number) => {
    for (let at = 0; at < ms; at++) mock.timers.tick(1);
  };

  it("aborts when nothing was ever heard", () => {
    using silence = new Silence(750, () => Number.NEGATIVE_INFINITY, now);
    pass(749);
    assert.equal(silence.signal.aborted, false);
    pass(1);
    assert.equal(silence.signal.aborted, true);
  });

  it("aborts so long after what was heard last, not sooner", () => {
    let heardAt = 0;
    using silence = new Silence(750, () => heardAt, now);
    for (const at of [400, 800, 1200]) {
      pass(400);
      heardAt = at;
    }
    pass(749);
    assert.equal(silence.signal.aborted, false);
    pass(1);
    assert.equal(silence.signal.aborted, true);
  });

  it("waits on when this process was held up itself", () => {
    let heldUp = 0;
    using silence = new Silence(
      750,
      () => 0,
      () => Date.now() + heldUp,
    );
    heldUp = 3000;
    pass(750);
    assert.equal(silence.signal.aborted, false);
    pass(750);
    assert.equal(silence.signal.aborted, true);
  });

  it("does nothing any more once it is disposed", () => {
    const silence = new Silence(750, () => 0, now);
    silence[Symbol.dispose]();
    pass(10_000);
    assert.equal(silence.signal.aborted, false);
  });
});
