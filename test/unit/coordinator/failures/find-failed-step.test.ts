import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BuildHistoryEvent, BuildHistoryEventType } from "../../../../src/api/gen/control.ts";
import type { FailedBuild } from "../../../../src/coordinator/failures/failed-steps.ts";
import { findFailedStep } from "../../../../src/coordinator/failures/find-failed-step.ts";
import type { SolveError } from "../../../../src/coordinator/failures/solve-error.ts";
import { Code } from "../../../../src/core/errors/code.ts";

const stepOf = (digest: string, name: string) => ({ vertex: { digest: `sha256:${digest}`, name } }) as SolveError;
const first = stepOf("aa", "[1/2] RUN one");
const second = stepOf("ab", "[2/2] RUN two");
const buildOf = (ref: string, ...steps: SolveError[]): FailedBuild => ({
  ...{ ref, steps, endedAt: 0, sessionIds: [], entitlements: [] },
});
const event = (ref: string, error?: string, type: BuildHistoryEventType = BuildHistoryEventType.COMPLETE) =>
  BuildHistoryEvent.fromPartial({
    type,
    record: { Ref: ref, ...(error === undefined ? {} : { error: { message: error } }) },
  });

describe("a failed step", () => {
  const find = (
    build: string,
    step: string,
    builds: readonly FailedBuild[],
    events: readonly BuildHistoryEvent[] = [],
  ) =>
    findFailedStep(
      { build, step },
      { builds, keepMs: 90_000 },
      {
        listen: async function* () {
          yield* events;
        },
      },
      new AbortController().signal,
    );
  const builds = [buildOf("abc1", first), buildOf("abc2", first, second), buildOf("ab", second)];

  it("is found by ref, beginning of it, name and digest; else it is the last", async () => {
    const found = async (build: string, step: string) => {
      const { build: its, step: that } = await find(build, step, builds);
      return [its.ref, that];
    };
    assert.deepEqual(await found("", ""), ["ab", second]);
    assert.deepEqual(await found("ab", ""), ["ab", second]);
    assert.deepEqual(await found("abc2", ""), ["abc2", second]);
    assert.deepEqual(await found("abc2", "one"), ["abc2", first]);
    assert.deepEqual(await found("abc2", "sha256:aa"), ["abc2", first]);
    assert.deepEqual(await found("abc2", "ab"), ["abc2", second]);
  });

  for (const [what, build, step, events, code, message] of [
    ["of several builds", "abc", "", [], Code.InvalidArgument, 'several builds begin with "abc": abc1, abc2'],
    [
      "of another name",
      "abc1",
      "x",
      [],
      Code.NotFound,
      /no failed step of build abc1 matches "x": there is \[1\/2\] RUN one/,
    ],
    ["of an unknown build", "z", "", [event("y", "no")], Code.NotFound, 'no build "z"'],
    ["of a good build", "y", "", [event("y")], Code.FailedPrecondition, "build y did not fail"],
    ["of several past builds", "y", "", [event("y1"), event("y2")], Code.InvalidArgument, /y1, y2/],
    [
      "of a running build",
      "y",
      "",
      [event("y", undefined, BuildHistoryEventType.STARTED)],
      Code.FailedPrecondition,
      "build y is still running",
    ],
    [
      "that is kept no more",
      "y",
      "",
      [event("y1", "no")],
      Code.FailedPrecondition,
      /nothing is kept of build y1.* 90 s/,
    ],
  ] as const) {
    it(`${what} is refused`, async () => {
      await assert.rejects(find(build, step, builds, events), { code, message });
    });
  }

  it("is none when no build has failed, or the last one's are gone", async () => {
    await assert.rejects(find("", "", [], [event("good")]), { code: Code.NotFound, message: "no build has failed" });
    await assert.rejects(find("", "", [], [event("good"), event("bad", "no")]), {
      message: /nothing is kept of build bad/,
    });
  });
});
