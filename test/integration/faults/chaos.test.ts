import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ChaosRun } from "../../chaos/chaos-run.ts";
import { isGood, summary } from "../../chaos/summary.ts";

/** What docs/reliability.md names as found and not mended: rare, and for the long runs to show. */
const known = [/peer \S+ answered 404/];

describe("a fleet that is disturbed at random", () => {
  it("fails no build that need not fail, and leaves nothing behind", async (t) => {
    const result = await ChaosRun.run({ seed: 4, durationMs: 15_000, builders: 2, say: (line) => t.diagnostic(line) });
    assert.ok(result.disturbances.length > 0);
    assert.ok(result.builds.length > 0);
    const failed = result.failed.filter(({ error = "" }) => !known.some((text) => text.test(error)));
    assert.ok(isGood({ ...result, failed }), summary(result));
  });
});
