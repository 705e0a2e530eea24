import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it, mock } from "node:test";
import { Silence } from "../../../../src/transfer/swarm/silence.ts";

describe("Silence", () => {
  beforeEach(() => mock.timers.enable({ apis: ["setTimeout", "Date"] }));
  afterEach(() => mock.timers.reset());
  const now = () => Date.now();

  it("aborts when nothing was ever heard", () => {
    using silence = new Silence(750, () => Number.NEGATIVE_INFINITY, now);
    mock.timers.tick(749);
    assert.equal(silence.signal.aborted, false);
    mock.timers.tick(1);
    assert.equal(silence.signal.aborted, true);
  });

  it("aborts so long after what was heard last, not sooner", () => {
    let heardAt = 0;
    using silence = new Silence(750, () => heardAt, now);
    for (const at of [400, 800, 1200]) {
      mock.timers.tick(400);
      heardAt = at;
    }
    mock.timers.tick(749);
    assert.equal(silence.signal.aborted, false);
    mock.timers.tick(1);
    assert.equal(silence.signal.aborted, true);
  });

  it("does nothing any more once it is disposed", () => {
    const silence = new Silence(750, () => 0, now);
    silence[Symbol.dispose]();
    mock.timers.tick(10_000);
    assert.equal(silence.signal.aborted, false);
  });
});
