import assert from "node:assert/strict";
import { test } from "node:test";
import { recordedWorkload } from "../../../bench/simulator/recorded.ts";
import { simulate } from "../../../bench/simulator/simulate.ts";
import { workload, workloadNames } from "../../../bench/simulator/workloads.ts";

const options = { agents: 10, slots: 4, bandwidth: 200e6, slowLinks: 1, measured: true, seed: 1, ignorance: 2 };

for (const name of workloadNames()) {
  test(`${name}: the schedule is near the bound`, () => {
    const { decisionMs: _, schedulerMicros: _m, ...result } = simulate(workload(name, 1000, 1, 40), options);
    assert.ok(result.makespan >= result.bound);
    assert.ok(result.makespan <= 1.25 * result.bound, `${result.makespan / result.bound}`);
    assert.ok(result.movedBytes >= result.leastBytes);
    const { decisionMs: __, schedulerMicros: __m, ...again } = simulate(workload(name, 1000, 1, 40), options);
    assert.deepEqual(again, result, "the same seed, the same schedule");
  });
}

test("a build on one agent moves nothing and keeps its slots busy", () => {
  const result = simulate(workload("wide", 500, 1, 4), { ...options, agents: 1 });
  assert.equal(result.movedBytes, 0);
  assert.equal(result.localShare, 1);
  assert.ok(result.utilization > 0.9);
});

test("tenants that wait get equal shares, whoever sends more", () => {
  const { fairness } = simulate(workload("tenants", 4000, 1, 40), options);
  assert.ok(fairness > 0.95, `${fairness}`);
});

test("a recorded build keeps its graph and its durations", () => {
  const lines = [
    {
      vertexes: [
        { digest: "a" },
        { digest: "b", inputs: ["a"] },
        { digest: "c", inputs: ["a", "unknown"], cached: true },
      ],
    },
    { vertexes: [{ digest: "a", started: "2026-01-01T00:00:00Z", completed: "2026-01-01T00:00:03Z" }] },
    {
      vertexes: [{ digest: "b", inputs: ["a"], started: "2026-01-01T00:00:03Z", completed: "2026-01-01T00:00:07.5Z" }],
    },
  ];
  const [build] = recordedWorkload("x", `#0 noise\n${lines.map((line) => JSON.stringify(line)).join("\n")}\n`).builds;
  assert.deepEqual(
    build?.vertices.map(({ id, inputs, seconds }) => [id, inputs, seconds]),
    [
      ["a", [], 3],
      ["b", ["a"], 4.5],
      ["c", ["a"], 0],
    ],
  );
  assert.throws(() => recordedWorkload("empty", "nothing"), /names no vertex/);
});
