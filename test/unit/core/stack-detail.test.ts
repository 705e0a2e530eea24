import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { stackDetail } from "../../../src/core/errors/stack-detail.ts";

function decoded(error: Error) {
  const { typeUrl, value } = stackDetail(error, "1.2.3");
  assert.equal(typeUrl, "github.com/moby/buildkit/stack.Stack+json");
  return JSON.parse(Buffer.from(value).toString()) as {
    frames: { Name: string; File: string; Line: number }[];
    version: string;
    cmdline?: unknown;
  };
}

describe("stackDetail", () => {
  it("names the functions that led to the first error, not to those around it", () => {
    const failDeepInside = () => new Error("inner");
    const { frames } = decoded(new BuildError(Code.Unknown, "middle", { cause: failDeepInside() }).wrap("outer"));
    assert.equal(frames[0]?.Name, "failDeepInside");
    assert.equal(frames[0]?.File, "stack-detail.test.ts");
  });

  it("names files from the root of the sources, and takes no line of the message for a frame", () => {
    const error = new Error("x");
    error.stack = [
      "Error: first",
      " at all costs (2:3)",
      "    at async Solver.run (file:///opt/x/src/solver/solver.ts:12:34)",
      "    at new Edge (/opt/x/src/solver/edge.ts:5:6)",
      "    at node:internal/main/run_main_module:33:47",
      "    at async Promise.all (index 0)",
    ].join("\n");
    assert.deepEqual(decoded(error).frames, [
      { Name: "Solver.run", File: "src/solver/solver.ts", Line: 12 },
      { Name: "new Edge", File: "src/solver/edge.ts", Line: 5 },
      { Name: "<anonymous>", File: "node:internal/main/run_main_module", Line: 33 },
    ]);
  });

  it("names the version, and tells nothing of the command line", () => {
    const { version, cmdline } = decoded(new Error("x"));
    assert.deepEqual([version, cmdline], ["1.2.3", undefined]);
  });

  it("ends when causes go in a circle", () => {
    const error = new Error("a");
    error.cause = new Error("b", { cause: error });
    assert.ok(decoded(error).frames.length > 0);
  });
});
