import assert from "node:assert/strict";
import { it } from "node:test";
import { steadyClock, systemClock } from "../../../src/util/system-clock.ts";

it("steadyClock goes on when the machine's clock is set", (t) => {
  const before = steadyClock.now();
  t.mock.timers.enable({ apis: ["Date"], now: before + 3_600_000 });
  assert.ok(systemClock.now() - before > 3_599_000);
  assert.ok(steadyClock.now() - before < 60_000);
  t.mock.timers.setTime(0);
  assert.ok(steadyClock.now() >= before);
});
