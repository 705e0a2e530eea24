import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdir, open, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import type { CliContext } from "../context.ts";
import { ExitStatus } from "../exit-status.ts";

/** How the process in the background knows that it is one: the ref of its build. */
const refVariable = "BUILDFLEET_DETACHED_REF";
const started = "started";
/** Logs of builds that failed are kept this long. */
const keepMs = 7 * 24 * 3600_000;

/**
 * `build --detach` as the user runs it: starts the same command in the background, where the build's session lives on
 * (ADR-0018), and prints the build's ref once the daemon has taken it.
 * @throws ExitStatus when it came to nothing, after showing what it said
 */
export async function startDetached({ signal, stdin, stdout, stderr }: CliContext): Promise<void> {
  const ref = randomBytes(16).toString("hex");
  await removeOldLogs();
  const directory = directoryOf(ref);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await using log = await open(join(directory, "log"), "wx", 0o600);
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    detached: true,
    // Of a pipe the background may read its definition; a terminal it must not.
    stdio: [stdin.isTTY === true ? "ignore" : "inherit", log.fd, log.fd, "ipc"],
    env: { ...process.env, [refVariable]: ref },
  });
  const onAbort = () => child.kill();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const ended = await startedOrEnded(child, () => writeFile(join(directory, "pid"), `${child.pid}\n`));
    if (ended !== undefined && ended !== 0) {
      stderr.write(await readFile(join(directory, "log"), "utf8"));
      await rm(directory, { recursive: true });
      throw new ExitStatus(ended);
    }
    stdout.write(`${ref}\n`);
  } finally {
    signal.removeEventListener("abort", onAbort);
    if (child.connected) child.disconnect();
    child.unref();
  }
}

/** @returns the exit code when it has ended before it had a build to tell of */
async function startedOrEnded(child: ChildProcess, onSpawn: () => Promise<void>): Promise<number | undefined> {
  const outcome = new Promise<number | undefined>((resolve) => {
    child.once("message", () => resolve(undefined));
    child.once("exit", (code) => resolve(code ?? 1));
  });
  await once(child, "spawn");
  await onSpawn();
  return outcome;
}

/** The build that this process runs in the background. */
export class DetachedBuild implements AsyncDisposable {
  readonly ref: string;
  #told = false;
  #failed = true;

  private constructor(ref: string) {
    this.ref = ref;
  }

  /** @returns undefined in a process that a user has started */
  static ofProcess(): DetachedBuild | undefined {
    const ref = process.env[refVariable];
    delete process.env[refVariable];
    return ref === undefined ? undefined : new DetachedBuild(ref);
  }

  /** The daemon has taken the build: whoever started this process may end. */
  accepted(): void {
    if (this.#told) return;
    this.#told = true;
    if (process.connected) process.send?.(started, () => process.disconnect());
  }

  succeeded(): void {
    this.#failed = false;
  }

  /** Of a build that failed the log is left: a client's reasons are not in the history. */
  async [Symbol.asyncDispose](): Promise<void> {
    const directory = directoryOf(this.ref);
    await rm(this.#failed ? join(directory, "pid") : directory, { recursive: true, force: true });
    if (process.connected) process.disconnect();
  }
}

function stateDirectory(): string {
  return join(process.env["XDG_STATE_HOME"] || join(homedir(), ".local", "state"), "buildfleet", "builds");
}

function directoryOf(ref: string): string {
  return join(stateDirectory(), ref);
}

async function removeOldLogs(): Promise<void> {
  const directory = stateDirectory();
  for (const name of await readdir(directory).catch(() => [])) {
    const log = await stat(join(directory, name, "log")).catch(() => undefined);
    const isOld = log !== undefined && Date.now() - log.mtimeMs > keepMs;
    if (isOld) await rm(join(directory, name), { recursive: true, force: true });
  }
}
