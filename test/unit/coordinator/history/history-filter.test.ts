import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BuildHistoryRecord } from "../../../../src/api/gen/control.ts";
import { timestampFromMs } from "../../../../src/coordinator/front-door/timestamp.ts";
import { historyFilter } from "../../../../src/coordinator/history/history-filter.ts";

const now = Date.parse("2026-01-02T12:00:00Z");

function recordOf(ref: string, more: Partial<BuildHistoryRecord> = {}): BuildHistoryRecord {
  return {
    ...BuildHistoryRecord.fromPartial({
      Ref: ref,
      CreatedAt: timestampFromMs(now - 60_000),
      CompletedAt: timestampFromMs(now - 55_000),
    }),
    ...more,
  };
}

const records = [
  recordOf("done", { FrontendAttrs: { context: "https://example.org/team/app.git#main:sub" } }),
  recordOf("failed", { error: { code: 2, message: "exit code: 1", details: [] }, FrontendAttrs: { context: "dir" } }),
  recordOf("canceled", { error: { code: 1, message: "vertex: context canceled", details: [] } }),
  recordOf("running", { CompletedAt: undefined }),
  recordOf("yesterday", {
    CreatedAt: timestampFromMs(now - 24 * 3600_000),
    CompletedAt: timestampFromMs(now - 23 * 3600_000),
    FrontendAttrs: { "vcs:source": "https://example.org/other" },
  }),
];

const cases: readonly (readonly [readonly string[], readonly string[]])[] = [
  [[], ["done", "failed", "canceled", "running", "yesterday"]],
  [["ref==done"], ["done"]],
  [
    ["ref==done", "ref==failed"],
    ["done", "failed"],
  ],
  [["ref~=^(done|running)$"], ["done", "running"]],
  [["status==completed"], ["done", "yesterday"]],
  [["status==error"], ["failed"]],
  [["status==canceled"], ["canceled"]],
  [["status==running"], ["running"]],
  [["status!=completed,ref!=running"], ["failed", "canceled"]],
  [["repository==https://example.org/team/app.git"], ["done"]],
  [["repository"], ["done", "yesterday"]],
  [["startedAt<1h"], ["yesterday"]],
  [["startedAt>=1h"], ["done", "failed", "canceled", "running"]],
  [["completedAt<2026-01-02T00:00:00Z,completedAt>2026-01-01T00:00:00+01:00"], ["yesterday"]],
  [["duration>30m"], ["yesterday"]],
  [["duration<=5s"], ["done", "failed", "canceled", "running"]],
  [["duration>=5s,status==error"], ["failed"]],
  [['"status==error"'], ["failed"]],
  [["nonsense==1"], []],
];

describe("historyFilter", () => {
  for (const [filters, expected] of cases) {
    it(filters.length === 0 ? "none" : filters.join(" or "), () => {
      assert.deepEqual(
        records.filter(historyFilter(filters, now)).map(({ Ref }) => Ref),
        expected,
      );
    });
  }

  it("refuses what is no time", () => {
    assert.throws(() => historyFilter(["startedAt<tomorrow"], now), /^BuildError: invalid time tomorrow$/);
    assert.throws(() => historyFilter(["completedAt>2026-01-01"], now), /invalid time 2026-01-01/);
    assert.throws(() => historyFilter(["duration>7"], now), /invalid duration 7/);
  });
});
