import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { writeOfflineImages } from "./offline-images.ts";
import { type TestResult, TestRunner } from "./test-run.ts";

const usage = `UPSTREAM_CLIENT_TEST=/path/to/client.test npm run upstream -- [options]
or UPSTREAM_DOCKERFILE_TEST=/path/to/dockerfile.test, or UPSTREAM_BUILDX_TEST=/path/to/buildx.test, with the same options
  --run <regexp>        tests to run, as for "go test -run"   (default: "Integration$")
  --daemon <path>       buildkitd to test                     (default: the one of this repository)
  --baseline <json>     results of another daemon here: what fails there is not applicable
  --json <file>         where the results go                  (default: <logs>/results.json)
  --logs <directory>    one log file a test                   (default: a new one)
  --timeout <seconds>   per test                              (default: 90)
  --parallel <n>        tests at the same time                (default: 2)
  --all-features        also run tests of features that are not offered
`;

/** Features of the tests' own list that this daemon does not claim to have. */
const notOffered = ["cache_backend_azblob", "cache_backend_gha", "cache_backend_s3", "cni_network"];

/** Tests that need such a feature, or one that has no name in that list, and only say so by failing. */
const undeclared = [
  // The proxy between steps and network.
  /\/TestProxyNetwork\w+\//,
];

type Verdict = TestResult & { readonly applicable: boolean; readonly why?: string };

const { values } = parseArgs({
  options: {
    run: { type: "string", default: "Integration$" },
    daemon: { type: "string" },
    baseline: { type: "string" },
    json: { type: "string" },
    logs: { type: "string" },
    timeout: { type: "string", default: "90" },
    parallel: { type: "string", default: "2" },
    "all-features": { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

const binary = ["CLIENT", "DOCKERFILE", "BUILDX"]
  .map((name) => process.env[`UPSTREAM_${name}_TEST`])
  .find((path) => path !== undefined);
if (binary === undefined || values.help) {
  process.stdout.write(usage);
  process.exit(values.help ? 0 : 2);
}

const stop = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stop.abort());
const home = await mkdtemp(join(tmpdir(), "upstream-"));
try {
  const logs = resolve(values.logs ?? (await mkdtemp(join(tmpdir(), "upstream-logs-"))));
  const programs = join(home, "bin");
  await writePrograms(programs, values.daemon ?? join(import.meta.dirname, "../../bin/buildkitd.mjs"));
  await mkdir(logs, { recursive: true });
  const mirror = join(home, "mirror");
  writeOfflineImages(join(mirror, "data"));

  const runner = new TestRunner({
    binary: resolve(binary),
    programs,
    mirror,
    scratch: join(home, "s"),
    logs,
    disabledFeatures: values["all-features"] ? [] : notOffered,
    timeoutMs: Number(values.timeout) * 1000,
    signal: stop.signal,
  });
  const names = await runner.discover(values.run);
  const baseline = await readBaseline(values.baseline);
  const verdicts = await runAll(runner, names, baseline, Number(values.parallel));
  const json = resolve(values.json ?? join(logs, "results.json"));
  await writeFile(json, `${JSON.stringify({ counts: countsOf(verdicts), tests: verdicts }, null, 1)}\n`);
  printTable(verdicts);
  process.stdout.write(`${json}\n`);
} finally {
  await rm(home, { recursive: true, force: true, maxRetries: 5 });
}

/** A directory with the programs that tests look up by name, and a second one that lacks the daemon. */
async function writePrograms(directory: string, daemon: string): Promise<void> {
  const without = join(directory, "without-daemon");
  await mkdir(without, { recursive: true });
  const script = (path: string, command: string) =>
    writeFile(path, `#!/bin/sh\nexec ${command} "$@"\n`, { mode: 0o755 });
  const run = daemon.endsWith(".mjs") ? `"${process.execPath}" "${resolve(daemon)}"` : `"${resolve(daemon)}"`;
  await script(join(directory, "buildkitd"), run);
  for (const path of [directory, without]) {
    await script(join(path, "registry"), "docker-registry");
    await script(join(path, "buildx"), "docker-buildx");
  }
}

async function readBaseline(path: string | undefined): Promise<ReadonlyMap<string, TestResult>> {
  if (path === undefined) return new Map();
  const { tests } = JSON.parse(await readFile(path, "utf8")) as { tests: TestResult[] };
  return new Map(tests.map((test) => [test.name, test]));
}

async function runAll(
  runner: TestRunner,
  names: readonly string[],
  baseline: ReadonlyMap<string, TestResult>,
  parallel: number,
): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  const queue = names.values();
  const lane = async (): Promise<void> => {
    for (const name of queue) {
      const result = await runner.run(name);
      if (stop.signal.aborted) return;
      const verdict = judge(result, baseline.get(name));
      verdicts.push(verdict);
      const label = verdict.applicable ? verdict.outcome : "n/a";
      process.stdout.write(
        `[${verdicts.length}/${names.length}] ${label.padEnd(7)} ${String(result.seconds).padStart(5)}s ${name}` +
          `${verdict.reason === "" ? "" : `\n        ${verdict.reason.slice(0, 300)}`}\n`,
      );
    }
  };
  await Promise.all(Array.from({ length: Math.min(parallel, 2 * availableParallelism()) }, lane));
  return verdicts.sort((left, right) => left.name.localeCompare(right.name));
}

function judge(result: TestResult, reference: TestResult | undefined): Verdict {
  if (result.outcome === "passed") return { ...result, applicable: true };
  const why = inapplicable(result, reference);
  return why === undefined ? { ...result, applicable: true } : { ...result, applicable: false, why };
}

function inapplicable({ name, outcome, reason }: TestResult, reference: TestResult | undefined): string | undefined {
  const needed = /missing features|(?:feature|capability) .* is not supported by build server|not supported yet/;
  if (needed.test(reason) || undeclared.some((feature) => feature.test(name))) return "feature not offered";
  if (outcome === "skipped") return "skips itself here";
  if (reference !== undefined && reference.outcome !== "passed") return "does not pass with the reference daemon here";
  return undefined;
}

function countsOf(verdicts: readonly Verdict[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const verdict of verdicts) {
    const key = verdict.applicable ? verdict.outcome : `not applicable: ${verdict.why}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

function printTable(verdicts: readonly Verdict[]): void {
  process.stdout.write("\n");
  for (const [key, count] of Object.entries(countsOf(verdicts)).sort()) {
    process.stdout.write(`${String(count).padStart(5)}  ${key}\n`);
  }
}
