import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { parseArgs } from "node:util";
import type { Workload } from "./graph.ts";
import { recordedWorkload } from "./recorded.ts";
import { type SimulationOptions, type SimulationResult, simulate } from "./simulate.ts";
import { workload, workloadNames } from "./workloads.ts";

const usage = `npm run simulate -- [options]

Runs graphs through the coordinator's scheduler on virtual time.

  --workload NAME   ${workloadNames().join(", ")}; may be repeated (default: all)
  --graph FILE      a build recorded with \`buildctl build --progress=rawjson\`; may be repeated
  --vertices N      about how many steps (default 10000)
  --agents N        (default 100)
  --slots N         steps at the same time, of each agent (default 4)
  --ignorance F     expected durations are wrong by up to this factor (default 2)
  --slow-links F    every tenth agent has a link so many times slower (default 1)
  --assume-links    agents do not measure their links
  --seed N          (default 1)
  --table           the table of docs/performance.md: all workloads in several sizes
`;

const { values } = parseArgs({
  options: {
    workload: { type: "string", multiple: true },
    graph: { type: "string", multiple: true, default: [] },
    vertices: { type: "string", default: "10000" },
    agents: { type: "string", default: "100" },
    slots: { type: "string", default: "4" },
    ignorance: { type: "string", default: "2" },
    "slow-links": { type: "string", default: "1" },
    "assume-links": { type: "boolean", default: false },
    seed: { type: "string", default: "1" },
    table: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});

/** Bytes per second of an agent's link in. */
const bandwidth = 200e6;
/** Vertices, agents. */
const tableSizes = [
  [200, 1],
  [2_000, 20],
  [20_000, 100],
  [100_000, 1_000],
] as const;
const growth = [10_000, 30_000, 100_000];
const slowLinks = 20;

const head = [
  "graph",
  "steps",
  "agents × slots",
  "makespan, s",
  "÷ bound",
  "slots in use",
  "GB moved (least)",
  "inputs local",
  "most waiting",
  "decision, ms: median / p99",
  "scheduler, µs a step",
  "Jain",
  "first step p95, s",
  "build ÷ its longest way",
];

if (values.help) process.stdout.write(usage);
else {
  const options = {
    bandwidth,
    slots: Number(values.slots),
    seed: Number(values.seed),
    ignorance: Number(values.ignorance),
    slowLinks: Number(values["slow-links"]),
    measured: !values["assume-links"],
  };
  const recorded = await Promise.all(
    values.graph.map(async (file) => recordedWorkload(basename(file), await readFile(file, "utf8"))),
  );
  const names = values.workload ?? (recorded.length > 0 ? [] : workloadNames());
  process.stdout.write(`${row(head)}\n${row(head.map(() => "---"))}\n`);
  const sizes = values.table ? tableSizes : [[Number(values.vertices), Number(values.agents)] as const];
  for (const [vertices, agents] of sizes) {
    for (const name of names) report(generated(name, vertices, { ...options, agents }), { ...options, agents });
    for (const build of recorded) report(build, { ...options, agents });
  }
  if (values.table) {
    for (const vertices of growth) {
      const large = { ...options, agents: 1000 };
      report({ ...generated("tenants", vertices, large), name: "tenants, growing" }, large);
    }
    for (const graph of ["steady-wide", "tenants"]) {
      for (const measured of [false, true]) {
        const uneven = { ...options, agents: 100, slowLinks, measured };
        const name = `${graph}, slow links ${measured ? "measured" : "not known"}`;
        report({ ...generated(graph, 20_000, uneven), name }, uneven);
      }
    }
  }
}

function generated(name: string, vertices: number, { agents, slots, seed }: SimulationOptions): Workload {
  return workload(name, vertices, seed, agents * slots);
}

function report(graph: Workload, options: SimulationOptions): void {
  const result = simulate(graph, options);
  process.stdout.write(`${row(cells(graph.name, options, result))}\n`);
}

function cells(name: string, options: SimulationOptions, result: SimulationResult): string[] {
  const gigabytes = (bytes: number) => (bytes / 1e9).toFixed(1);
  return [
    name,
    String(result.vertices),
    `${options.agents} × ${options.slots}`,
    result.makespan.toFixed(0),
    (result.makespan / result.bound).toFixed(3),
    `${(result.utilization * 100).toFixed(0)} %`,
    `${gigabytes(result.movedBytes)} (${gigabytes(result.leastBytes)})`,
    `${(result.localShare * 100).toFixed(1)} %`,
    String(result.mostWaiting),
    `${result.decisionMs.median.toFixed(3)} / ${result.decisionMs.p99.toFixed(3)}`,
    result.schedulerMicros.toFixed(0),
    result.fairness.toFixed(3),
    result.firstStepP95.toFixed(2),
    result.slowdown.toFixed(2),
  ];
}

function row(columns: readonly string[]): string {
  return `| ${columns.join(" | ")} |`;
}
