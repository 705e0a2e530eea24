import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Cause, ExplainResponse, StepExplanation } from "../../../src/api/gen/buildfleet.ts";
import { changeLines } from "../../../src/cli/explain/change-lines.ts";
import { explanationJson, explanationText } from "../../../src/cli/explain/explanation-output.ts";

describe("changeLines()", () => {
  it("puts short texts on one line", () => {
    assert.deepEqual(changeLines("user", "a", "b c"), ['user: a -> "b c"']);
    assert.deepEqual(changeLines("user", undefined, "b"), ["user: b is new"]);
    assert.deepEqual(changeLines("user", "a", undefined), ["user: a is gone"]);
  });

  it("shows the lines that differ", () => {
    const script = (...lines: readonly string[]) => ["set -e", ...lines, "end"].join("\n");
    assert.deepEqual(changeLines("command", script("one", "two"), script("one", "2", "more")), [
      "command:",
      "  - two",
      "  + 2",
      "  + more",
    ]);
    assert.deepEqual(changeLines("command", undefined, "a\nb"), ["command:", "  + a", "  + b"]);
    assert.deepEqual(changeLines("command", script("x"), script("x", "x")), ["command:", "  + x"]);
  });

  it("shows of long lines where they differ", () => {
    const long = (middle: string) => `${"a".repeat(1000)}${middle}${"b".repeat(1000)}`;
    const [title, removed = "", added = ""] = changeLines("command", long("old"), long("new"));
    assert.equal(title, "command:");
    assert.match(removed, /^ {2}- …a{50}oldb{147}…$/);
    assert.match(added, /^ {2}\+ …a{50}newb{147}…$/);
  });
});

describe("explanations", () => {
  const createdAt = { seconds: 1_700_000_000n, nanos: 5_000_000 };
  const stepOf = (step: Parameters<typeof StepExplanation.fromPartial>[0]) => StepExplanation.fromPartial(step);
  const response = (...steps: readonly StepExplanation[]) =>
    ExplainResponse.fromPartial({ build: "ref", createdAt, compared: 2, steps: [...steps] });
  const because = Cause.fromPartial({ kind: "moved", what: "x:1", before: "sha256:a", after: "sha256:b" });
  const input = Cause.fromPartial({
    kind: "input",
    what: "load",
    input: 2,
    content: true,
    files: { changes: [{ path: "a", change: "added" }], more: 3 },
  });

  it("read well", () => {
    const text = explanationText(
      response(
        stepOf({
          name: "COPY",
          number: 4,
          reason: "changed",
          earlier: { build: "old", createdAt },
          causes: [
            input,
            Cause.fromPartial({ kind: "session", what: "all", input: 1 }),
            Cause.fromPartial({ kind: "hidden" }),
          ],
        }),
        stepOf({
          name: "RUN",
          reason: "follows",
          causes: [
            Cause.fromPartial({ kind: "input", what: "below", input: 1, becauseStep: "FROM", because: [because] }),
          ],
        }),
        stepOf({ name: "context", reason: "local", number: 1 }),
      ),
      false,
    );
    assert.equal(
      text,
      `Build ref of 2023-11-14T22:13:20Z, compared with 2 earlier builds

#4 COPY
  differs from build old of 2023-11-14T22:13:20Z:
    input #2 (load) has other content
      added    a
      and 3 more
    input #1 (all) is used as a whole and not by its content: it is new in every build
    something that is not shown, as a password in a URL

RUN
  follows from its inputs:
    input #1 (below) changed
      because of FROM:
        x:1 moved from sha256:a to sha256:b

Read anew in every build:
  #1 context
`,
    );
  });

  it("have words for every reason", () => {
    const reasons = ["cached", "joined", "unused", "local", "no-cache", "first", "gone", "failed-before", "concurrent"];
    const texts = reasons.map((reason) => explanationText(response(stepOf({ name: "step", reason })), true));
    assert.equal(new Set(texts).size, reasons.length);
    for (const text of texts) assert.match(text, /\n\nstep\n {2}\S/);
    assert.match(explanationText(response(), false), /All steps were served from cache/);
  });

  it("are JSON without what is empty", () => {
    const step = stepOf({ digest: "d", name: "COPY", how: "ran", reason: "changed", causes: [input] });
    assert.deepEqual(JSON.parse(JSON.stringify(explanationJson(response(step)))), {
      build: "ref",
      createdAt: "2023-11-14T22:13:20.005Z",
      compared: 2,
      steps: [
        {
          digest: "d",
          name: "COPY",
          how: "ran",
          reason: "changed",
          causes: [
            {
              kind: "input",
              what: "load",
              input: 2,
              content: true,
              files: [{ path: "a", change: "added" }],
              moreFiles: 3,
            },
          ],
        },
      ],
    });
  });
});
