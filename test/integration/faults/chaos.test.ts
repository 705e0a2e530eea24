import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ChaosRun } from "../../chaos/chaos-run.ts";
import { isGood, summary } from "../../chaos/summary.ts";

describe("a fleet that is disturbed at random", () => {
  it("fails no build that need not fail, and leaves nothing behind", async (t) => {
    const result = await ChaosRun.run({ seed: 4, durationMs: 15_000, builders: 2, say: (line) => t.diagnostic(line) });
    assert.ok(result.disturbances.length > 0);
    assert.ok(result.builds.length > 0);
    assert.ok(isGood(result), summary(result));
  });
});
