import { parseArgs } from "node:util";
import { ChaosRun } from "./chaos-run.ts";
import { isGood, summary } from "./summary.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 32)) },
    minutes: { type: "string", default: "5" },
    builders: { type: "string", default: "3" },
  },
});
const [seed, minutes, builders] = [values.seed, values.minutes, values.builders].map(Number);
if (![seed, minutes, builders].every((value) => value !== undefined && value >= 0)) {
  throw new Error("usage: npm run chaos -- [--seed <n>] [--minutes <m>] [--builders <n>]");
}
// The fleet is taken down at SIGTERM.
process.once("SIGINT", () => process.kill(process.pid, "SIGTERM"));
const startedAt = performance.now();
const say = (line: string) =>
  process.stderr.write(`${((performance.now() - startedAt) / 1000).toFixed(1).padStart(7)} s  ${line}\n`);
say(`seed ${seed}, ${minutes} min, ${builders} builds at the same time`);
const result = await ChaosRun.run({
  seed: seed ?? 0,
  durationMs: (minutes ?? 5) * 60_000,
  builders: builders ?? 3,
  say,
});
process.stdout.write(`seed: ${seed}\n${summary(result)}`);
process.exitCode = isGood(result) ? 0 : 1;
