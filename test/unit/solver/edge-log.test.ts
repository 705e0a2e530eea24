import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { debuggedVertices } from "../../../src/coordinator/scheduler-debug.ts";
import type { Logger } from "../../../src/core/seams/logger.ts";
import { buildOnce, edge, numberSolver, vertex } from "../../helpers/number-graph.ts";

/** Keeps `<name>: <message>` of each line. */
class Lines implements Logger {
  readonly lines: string[];
  readonly #name: string;

  constructor(lines: string[] = [], name = "") {
    this.lines = lines;
    this.#name = name;
  }

  child({ name }: Readonly<Record<string, unknown>>): Logger {
    return new Lines(this.lines, String(name));
  }

  debug(message: string): void {
    this.lines.push(`${this.#name}: ${message}`);
  }

  info(): void {}
  warn(): void {}
  error(): void {}
}

describe("the log of the scheduler", () => {
  const graph = () => {
    const inputs = ["a", "b"].map((name) => edge(vertex({ name, compute: () => 1 })));
    return vertex({ name: "sum", inputs, compute: ([x = 0, y = 0]) => x + y });
  };

  it("says why a vertex ran, and the next time that it did not", async () => {
    const logger = new Lines();
    const solver = numberSolver(undefined, { logger, debugs: ({ name }) => name === "sum" });
    await buildOnce(solver, graph());
    const lines = logger.lines.splice(0);
    const position = (text: string) => {
      const found = lines.indexOf(`sum: scheduler: ${text}`);
      assert.ok(found >= 0, `${text} in\n${lines.join("\n")}`);
      return found;
    };
    assert.ok(position("fast keys begins") < position("no key can follow from an input"));
    assert.ok(position("no key can follow from an input") < position("no record can match"));
    assert.ok(position("no record can match") < position("run begins"));
    assert.ok(position("run begins") < position("stored"));
    assert.ok(position("stored") < position("result ends"));
    assert.ok(lines.every((line) => line.startsWith("sum: ")));

    await buildOnce(solver, graph());
    assert.ok(logger.lines.includes("sum: scheduler: loads a record"));
    assert.ok(!logger.lines.some((line) => line.includes("run begins")));
  });

  it("is silent unless asked for", async () => {
    const logger = new Lines();
    await buildOnce(numberSolver(undefined, { logger }), graph());
    assert.deepEqual(logger.lines, []);
  });

  for (const [env, debugged] of [
    [{}, []],
    [{ BUILDKIT_SCHEDULER_DEBUG: "1" }, ["a", "b", "sum"]],
    [{ BUILDKIT_SCHEDULER_DEBUG: "0" }, []],
    [{ BUILDKIT_SCHEDULER_DEBUG_STEPS: "su" }, ["sum"]],
    [{ BUILDKIT_SCHEDULER_DEBUG_STEPS: 'a,"b"' }, ["a", "b"]],
    [{ BUILDKIT_SCHEDULER_DEBUG_STEPS: "b^" }, ["b", "sum"]],
  ] as const) {
    it(`is of ${debugged.join() || "none"} with ${JSON.stringify(env)}`, () => {
      const sum = graph();
      const all = [...sum.inputs.map(({ vertex: input }) => input), sum];
      assert.deepEqual(
        all.filter(debuggedVertices(env)).map(({ name }) => name),
        debugged,
      );
    });
  }
});
