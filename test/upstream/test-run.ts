import { spawn } from "node:child_process";
import { createWriteStream, existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { finished } from "node:stream/promises";

export type Outcome = "passed" | "failed" | "skipped" | "timeout";

export interface TestResult {
  readonly name: string;
  readonly outcome: Outcome;
  readonly seconds: number;
  /** What the test said about it: why it was skipped, or where and how it failed. */
  readonly reason: string;
}

export interface TestRunnerOptions {
  /** The compiled test binary. */
  readonly binary: string;
  /** Directory of the programs that the tests look up: `buildkitd`, `buildctl`, `registry`. */
  readonly programs: string;
  /** Storage of a registry that holds the images. */
  readonly mirror: string;
  /** Scratch directories of tests; short, as sockets are made inside. */
  readonly scratch: string;
  /** One log file a test. */
  readonly logs: string;
  readonly disabledFeatures: readonly string[];
  readonly timeoutMs: number;
  /** Ends the running tests. */
  readonly signal: AbortSignal;
}

/** Runs single tests of a compiled Go test binary, each in a process of its own, and cleans up after those that hang. */
export class TestRunner {
  readonly #options: TestRunnerOptions;

  constructor(options: TestRunnerOptions) {
    this.#options = options;
  }

  /**
   * Names of the tests for the OCI worker, which buildx reaches as a remote one. They are made while running, so all run once,
   * with no daemon to be found. Where one does not wait for the others, it fails at once and those after it are not made: then
   * all run again without it.
   */
  async discover(pattern: string): Promise<string[]> {
    const names = new Set<string>();
    const impatient = new Set<string>();
    for (let before = -1; before < impatient.size; ) {
      before = impatient.size;
      const skip = before === 0 ? [] : ["-test.skip", [...impatient].map(patternOf).join("|")];
      const { text } = await this.#spawn("discover", ["-test.run", pattern, ...skip], false);
      for (const [, name = ""] of text.matchAll(/^=== RUN\s+(\S+\/worker=(?:oci|remote)(?:\/\S+=\S+)?)$/gm)) {
        names.add(name);
        if (!text.includes(`=== PAUSE ${name}\n`)) impatient.add(name);
      }
    }
    return [...names];
  }

  async run(name: string): Promise<TestResult> {
    const { text, seconds, timedOut } = await this.#spawn(name, ["-test.run", patternOf(name)], true);
    const outcome = timedOut ? "timeout" : outcomeOf(name, text);
    return { name, outcome, seconds, reason: outcome === "passed" ? "" : reasonOf(text) };
  }

  async #spawn(
    name: string,
    args: readonly string[],
    withDaemon: boolean,
  ): Promise<{ text: string; seconds: number; timedOut: boolean }> {
    const { binary, programs, mirror, scratch, logs, disabledFeatures, timeoutMs, signal } = this.#options;
    await mkdir(scratch, { recursive: true });
    const directory = await mkdtemp(join(scratch, "t"));
    const inherited = process.env["PATH"]?.split(":") ?? [];
    const path = withDaemon
      ? [programs, ...inherited]
      : [join(programs, "without-daemon"), ...inherited.filter((item) => !existsSync(join(item, "buildkitd")))];
    const logPath = join(logs, `${name.replaceAll("/", ".")}.log`);
    const log = createWriteStream(logPath);
    const started = performance.now();
    let timedOut = false;
    const child = spawn(binary, ["-test.v", "-test.parallel", "8", ...args], {
      cwd: directory,
      env: {
        ...process.env,
        PATH: path.join(":"),
        TMPDIR: directory,
        BUILDKIT_REGISTRY_MIRROR_DIR: mirror,
        BUILDKIT_TEST_DISABLE_FEATURES: disabledFeatures.join(","),
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    const kill = () => child.kill("SIGKILL");
    signal.addEventListener("abort", kill, { once: true });
    const timer = setTimeout(() => {
      timedOut = true;
      kill();
    }, timeoutMs);
    await new Promise<void>((resolve, reject) => child.once("exit", () => resolve()).once("error", reject));
    clearTimeout(timer);
    signal.removeEventListener("abort", kill);
    const seconds = Math.round((performance.now() - started) / 100) / 10;
    await cleanUp(directory);
    log.end();
    await finished(log);
    return { text: await readFile(logPath, "utf8"), seconds, timedOut };
  }
}

/** Of this test alone, as `go test` takes it. */
function patternOf(name: string): string {
  const escaped = name.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return escaped
    .split("/")
    .map((part) => `^${part}$`)
    .join("/");
}

/** Ends what a test left running in its scratch directory, unmounts what it left mounted, and deletes the directory. */
async function cleanUp(directory: string): Promise<void> {
  for (const pid of await processesIn(directory)) process.kill(pid, "SIGKILL");
  const mounts = (await readFile("/proc/self/mountinfo", "utf8")).split("\n").map((line) => line.split(" ")[4] ?? "");
  for (const mount of mounts.filter((path) => path.startsWith(`${directory}/`)).reverse()) {
    await new Promise((resolve) => spawn("umount", ["-l", mount], { stdio: "ignore" }).once("exit", resolve));
  }
  await rm(directory, { recursive: true, force: true, maxRetries: 5 });
}

async function processesIn(directory: string): Promise<number[]> {
  const found: number[] = [];
  for (const entry of await readdir("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const environment = await readFile(`/proc/${entry}/environ`, "utf8").catch(() => "");
    const inside = environment
      .split("\0")
      .some((item) => item === `TMPDIR=${directory}` || item.startsWith(`TMPDIR=${directory}/`));
    if (inside) found.push(Number(entry));
  }
  return found;
}

function outcomeOf(name: string, text: string): Outcome {
  for (const [word, outcome] of [
    ["FAIL", "failed"],
    ["SKIP", "skipped"],
    ["PASS", "passed"],
  ] as const) {
    if (text.includes(`--- ${word}: ${name} (`)) return outcome;
  }
  return "failed";
}

/** The first complaint of the log, in one line. */
function reasonOf(text: string): string {
  const skipped = /^ +\S+\.go:\d+: (.*(?:missing features|[Ss]kip|requires?).*)$/m.exec(text)?.[1];
  const panic = /^panic: .*$/m.exec(text)?.[0];
  const trace = /Error Trace:\s+\S*?([^/\s]+\.go:\d+)/.exec(text)?.[1];
  const error = /^\s+Error:\s+(.*(?:\n\s{8,}\s+.*)*)/m
    .exec(text)?.[1]
    ?.replaceAll(/\s+/g, " ")
    .replace(/ github\.com\/moby\/buildkit\/util\/stack\.Enable.*/, "")
    .slice(0, 600);
  if (error !== undefined) return `${trace ?? ""} ${error}`;
  return panic ?? skipped ?? /^ +\S+\.go:\d+: .*$/m.exec(text)?.[0].trim() ?? "no reason in the log";
}
