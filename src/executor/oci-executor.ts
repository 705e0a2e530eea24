import { closeSync, existsSync, constants as fsConstants, mkdirSync, openSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { constants } from "node:os";
import { join } from "node:path";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import { ExecFailedError, exitDetail, unknownExitCode } from "../core/errors/exec-failed-error.ts";
import type { AdditionalProcess, ContainerProcess, ExecUsage, Executor, ProcessIo } from "../core/seams/executor.ts";
import { type Logger, silentLogger } from "../core/seams/logger.ts";
import { hostPlatform } from "../core/values/platform.ts";
import { sleep, withSignal } from "../util/abort.ts";
import { type ExitStatus, type ProcessSpawner, SpawnError, type SpawnOptions } from "../util/process/index.ts";
import { MountFlag, mount, mountSource, unmount } from "../util/sys/index.ts";
import { Cgroups, type CgroupUsage } from "./cgroups.ts";
import type { OciRuntime } from "./find-runtime.ts";
import { HostFiles } from "./host-files.ts";
import type { DnsConfig } from "./network/resolv-conf.ts";
import { killProcesses, processesNaming } from "./processes.ts";
import { PseudoTerminal } from "./pseudo-terminal.ts";
import { MountStubs } from "./rootfs/mount-stubs.ts";
import { lookUpUser } from "./rootfs/user.ts";
import { ensureWorkingDirectory } from "./rootfs/working-directory.ts";
import { RunningContainer } from "./running-container.ts";
import { signalNumber } from "./signal-number.ts";
import { buildSpec, mergeEnvironment, type SpecContext } from "./spec/build-spec.ts";
import type { OciSpec } from "./spec/oci-spec.ts";
import { StartedProcess } from "./started-process.ts";

export interface OciExecutorOptions {
  readonly runtime: OciRuntime;
  /**
   * Directory of this agent for bundles, the runtime's state and generated files; made a tmpfs unless it lies on one, for a
   * step's configuration holds its secret environment. One executor at a time may use it.
   */
  readonly root: string;
  readonly spawner: ProcessSpawner;
  /** What a step's `sandbox` network is. `auto` and `host`: the agent's own (BuildKit without CNI); `none`: loopback only. */
  readonly sandboxNetwork?: "auto" | "host" | "none";
  /** Parent of all cgroups; a step may name another. Default: `/buildkit/<id>`, else `<parent>/buildkit/<id>`. */
  readonly cgroupParent?: string;
  readonly dns?: DnsConfig;
  readonly oomScoreAdj?: number;
  readonly logger?: Logger;
  readonly cgroups?: Cgroups;
}

const tmpfsName = "buildfleet-executor";
const killRetryMs = 50;
/** After that long the runtime itself is killed; its `delete --force` sees to the container. */
const killPatienceMs = 8_000;
const runtimeCallTimeoutMs = 20_000;

/**
 * Runs containers through the command line of an OCI runtime (BuildKit executor/runcexecutor). Dispose it when no step runs any
 * more; an agent that was killed leaves its state behind for `reap`.
 */
export class OciExecutor implements Executor, AsyncDisposable {
  readonly name: string;
  readonly #options: OciExecutorOptions;
  readonly #logger: Logger;
  readonly #cgroups: Cgroups;
  readonly #hostFiles: HostFiles;
  readonly #stateRoot: string;
  readonly #bundles: string;
  readonly #running = new Map<string, RunningContainer>();
  readonly #seccomp = existsSync("/proc/sys/kernel/seccomp/actions_avail");

  constructor(options: OciExecutorOptions) {
    this.name = options.runtime.name;
    this.#options = options;
    this.#logger = options.logger ?? silentLogger;
    this.#cgroups = options.cgroups ?? new Cgroups();
    this.#hostFiles = new HostFiles(join(options.root, "etc"), options.dns);
    this.#stateRoot = join(options.root, "state");
    this.#bundles = join(options.root, "bundles");
    mkdirSync(options.root, { recursive: true, mode: 0o711 });
    // Also on a tmpfs: a step cannot start when the runtime's state has no room beside what steps wrote.
    if (mountSource(options.root) !== tmpfsName)
      mount(tmpfsName, options.root, "tmpfs", MountFlag.NoSuid | MountFlag.NoDev, "mode=0711");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // By its name: after a crash it is the mount of an earlier process, and a tmpfs we did not make is not ours to end.
    if (mountSource(this.#options.root) === tmpfsName) unmount(this.#options.root, true);
  }

  async run(container: ContainerProcess, io: ProcessIo, signal: AbortSignal): Promise<ExecUsage> {
    signal.throwIfAborted();
    if (!/^[A-Za-z0-9]+$/.test(container.id)) {
      throw new BuildError(
        Code.InvalidArgument,
        `invalid container id ${JSON.stringify(container.id)}: only letters and numbers are allowed`,
      );
    }
    const bundle = join(this.#bundles, container.id);
    await mkdir(bundle, { recursive: true, mode: 0o711 });
    const stubs = MountStubs.record(
      container.rootfs,
      ["/etc/resolv.conf", "/etc/hosts", ...container.mounts.map((mount) => mount.destination)],
      container.removeMountStubsRecursive,
    );
    try {
      const context = await this.#specContext(container);
      ensureWorkingDirectory(container.rootfs, container.cwd, context.user);
      await writeFile(join(bundle, "config.json"), JSON.stringify(buildSpec(container, context)));
      signal.throwIfAborted();
      return await this.#runBundle(container, bundle, context.cgroupsPath, io, signal);
    } finally {
      stubs.remove();
      await rm(bundle, { recursive: true, force: true });
    }
  }

  async exec(id: string, process: AdditionalProcess, io: ProcessIo, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const container = this.#running.get(id);
    if (container === undefined) throw new BuildError(Code.Unknown, `container ${id} not found`);
    await container.up(signal);
    const directory = container.newDirectory();
    try {
      await mkdir(directory, { mode: 0o711 });
      const { process: first } = JSON.parse(await readFile(join(container.bundle, "config.json"), "utf8")) as OciSpec;
      const spec = {
        ...first,
        terminal: process.tty,
        args: process.args,
        env: mergeEnvironment(process.env),
        cwd: process.cwd,
        ...(process.user === "" ? {} : { user: lookUpUser(container.rootfs, process.user) }),
      };
      const path = join(directory, "process.json");
      await writeFile(path, JSON.stringify(spec));
      const { exitCode } = await this.#runToEnd({
        argv: [...this.#command(directory), "exec", "--process", path, "--pid-file", pidFile(directory), id],
        pidFile: pidFile(directory),
        tty: process.tty,
        kill: (started) => started.signal(constants.signals.SIGKILL),
        io,
        signal,
      });
      checkExit(exitCode, [], signal);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }

  async reap(): Promise<void> {
    // A runtime that is about to make a container would make it after this.
    await killProcesses(await processesNaming(this.#stateRoot));
    const containers = new Set([...(await namesIn(this.#stateRoot)), ...(await namesIn(this.#bundles))]);
    for (const id of containers) {
      this.#logger.warn("Removing a container left by an earlier process", { container: id });
      await this.#removeLeft(id);
    }
    await rm(this.#bundles, { recursive: true, force: true });
    await this.#hostFiles.clear();
  }

  async #specContext(container: ContainerProcess): Promise<SpecContext> {
    const { sandboxNetwork, oomScoreAdj } = this.#options;
    const empty = container.network === "none" || (container.network === "sandbox" && sandboxNetwork === "none");
    const [resolvConf, hosts] = await Promise.all([
      this.#hostFiles.resolvConf(container.network === "host"),
      this.#hostFiles.hosts(container),
    ]);
    return {
      user: lookUpUser(container.rootfs, container.user),
      resolvConf,
      hosts,
      network: empty ? "empty" : "host",
      cgroupsPath: this.#cgroupsPath(container),
      cgroupNamespace: this.#cgroups.mode === "unified",
      seccomp: this.#seccomp,
      architecture: hostPlatform().architecture,
      ...(oomScoreAdj === undefined ? {} : { oomScoreAdj }),
    };
  }

  /** `<parent>/buildkit/<id>`, or systemd's `slice:prefix:name` when the parent is written that way. */
  #cgroupsPath({ id, cgroupParent }: ContainerProcess): string {
    const parent = cgroupParent === "" ? (this.#options.cgroupParent ?? "") : cgroupParent;
    if (parent.includes(".slice") && parent.endsWith(":")) return parent + id;
    return join("/", parent, "buildkit", id);
  }

  async #runBundle(
    container: ContainerProcess,
    bundle: string,
    cgroup: string,
    io: ProcessIo,
    signal: AbortSignal,
  ): Promise<ExecUsage> {
    const { id, tty = false } = container;
    const startedAt = performance.now();
    let usage: CgroupUsage = { cpuNanos: 0, peakMemoryBytes: 0, oomKills: 0 };
    let exitCode = unknownExitCode;
    const running = new RunningContainer({ id, bundle, rootfs: container.rootfs, pidFile: pidFile(bundle) });
    this.#running.set(id, running);
    try {
      const end = await this.#runToEnd({
        argv: [...this.#command(bundle), ...["run", "--keep", "--bundle", bundle, "--pid-file", pidFile(bundle), id]],
        pidFile: pidFile(bundle),
        tty,
        kill: () => this.#call(["kill", id, "KILL"]),
        abandon: async () => {
          await killProcesses(await processesNaming(bundle));
          await this.#forceDelete(id);
        },
        io,
        signal,
      });
      exitCode = end.exitCode;
      usage = this.#cgroups.usage(cgroup);
    } finally {
      this.#running.delete(id);
      running.ended();
      await this.#remove(id, cgroup);
    }
    checkExit(exitCode, container.validExitCodes, signal, usage);
    const { cpuNanos, peakMemoryBytes } = usage;
    return { exitCode, cpuNanos, peakMemoryBytes, wallMs: performance.now() - startedAt };
  }

  /** The exit code of the runtime, which is the process's. On abort it ends because the process was killed. */
  async #runToEnd(run: RuntimeRun): Promise<{ readonly exitCode: number }> {
    const { argv, io, signal } = run;
    const ended = new AbortController();
    const lastResort = new AbortController();
    const started = new StartedProcess(run.pidFile, ended.signal);
    let killing: Promise<void> | undefined;
    const onAbort = () => {
      killing = this.#kill(() => run.kill(started), ended.signal, lastResort);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    // Nobody waits for output any more after an abort, but the pipe must be emptied for the process to end.
    const deliver = (write: (data: Uint8Array) => void | Promise<void>) => async (data: Uint8Array) => {
      if (signal.aborted) return;
      const written = write(data);
      if (written !== undefined) await withSignal(written, signal).catch(ignoreAbort(signal));
    };
    let outputError: { readonly error: unknown } | undefined;
    try {
      const options: SpawnOptions = {
        env: runtimeEnvironment(),
        signal: lastResort.signal,
        onStarted: (pid) => {
          started.runtimePid = pid;
          io.onStarted?.(started);
        },
      };
      const stdout = deliver((data) => io.stdout(data));
      const status = run.tty
        ? await this.#runOnTerminal(argv, options, { ...io, stdout }, started)
        : await this.#options.spawner.run(argv, {
            ...options,
            ...(io.stdin === undefined ? {} : { stdin: io.stdin }),
            stdout,
            stderr: deliver((data) => io.stderr(data)),
          });
      return { exitCode: status.code ?? 128 + signalNumber(status.signal) };
    } catch (error) {
      if (lastResort.signal.aborted) return { exitCode: 128 + constants.signals.SIGKILL };
      outputError = { error };
      throw toBuildError(error);
    } finally {
      signal.removeEventListener("abort", onAbort);
      ended.abort();
      await killing;
      // The runtime may live on when a callback threw or the helper died; removing the container ends it.
      if (outputError !== undefined) await run.abandon?.();
    }
  }

  /** The runtime passes its own terminal on to the container's. All output is stdout then. */
  async #runOnTerminal(
    argv: readonly string[],
    options: SpawnOptions,
    io: ProcessIo,
    started: StartedProcess,
  ): Promise<ExitStatus> {
    await using terminal = new PseudoTerminal();
    started.terminal = terminal;
    const typing = (async () => {
      for await (const data of io.stdin ?? []) await terminal.write(data);
    })();
    typing.catch((error) => this.#logger.warn("Cannot write to terminal", { error: String(error) }));
    const running = this.#options.spawner.run(argv, { ...options, terminal: terminal.path });
    // Until the process has opened its end, ours reads as closed.
    const own = openSync(terminal.path, fsConstants.O_RDWR | fsConstants.O_NOCTTY);
    running.finally(() => closeSync(own)).catch(() => {});
    const printing = (async () => {
      for await (const data of terminal.output()) await io.stdout(data);
    })();
    printing.catch(() => {});
    const status = await running;
    await printing;
    return status;
  }

  /** Kills until the process is seen to have ended. It may not exist yet when the abort comes early. */
  async #kill(kill: () => unknown, ended: AbortSignal, lastResort: AbortController): Promise<void> {
    const giveUpAt = performance.now() + killPatienceMs;
    while (!ended.aborted) {
      if (performance.now() > giveUpAt) {
        this.#logger.warn("Container does not end after kill");
        lastResort.abort(new Error("container does not end"));
        return;
      }
      await kill();
      await sleep(killRetryMs, ended).catch(() => {});
    }
  }

  /**
   * Removes what `run --keep` left: the cgroups and the runtime's state directory. Done here, since `runtime delete` takes as
   * long as a short step; where that does not do, it is called after all.
   */
  async #remove(id: string, cgroup: string): Promise<void> {
    if (this.#cgroups.remove(cgroup)) {
      await rm(join(this.#stateRoot, id), { recursive: true, force: true });
    } else {
      await this.#forceDelete(id);
      this.#cgroups.remove(cgroup);
    }
  }

  /** Ends a container of an earlier process, however far it had come; its bundle knows its cgroup. */
  async #removeLeft(id: string): Promise<void> {
    await this.#forceDelete(id);
    const cgroup = await cgroupOfBundle(join(this.#bundles, id));
    if (cgroup === undefined) return;
    await killProcesses(this.#cgroups.processes(cgroup));
    if (this.#cgroups.remove(cgroup)) await rm(join(this.#stateRoot, id), { recursive: true, force: true });
  }

  async #forceDelete(id: string): Promise<void> {
    const failure = await this.#call(["delete", "--force", id]);
    // What could not be deleted stays on record for the next `reap`.
    if (failure !== undefined) this.#logger.warn("Cannot delete container", { container: id, failure });
  }

  /** @returns what went wrong, if anything */
  async #call(args: readonly string[]): Promise<string | undefined> {
    try {
      const result = await this.#options.spawner.capture([...this.#command(this.#options.root), ...args], {
        env: runtimeEnvironment(),
        signal: AbortSignal.timeout(runtimeCallTimeoutMs),
      });
      return result.code === 0 ? undefined : result.stderr;
    } catch (error) {
      return BuildError.from(error).message;
    }
  }

  /** With a log file the runtime prints only its final error, in the words BuildKit's users know, to stderr. */
  #command(logDirectory: string): string[] {
    const log = join(logDirectory, "runtime-log.json");
    return [this.#options.runtime.path, "--root", this.#stateRoot, "--log", log, "--log-format", "json"];
  }
}

/** One call of the runtime that lasts as long as a process. */
interface RuntimeRun {
  readonly argv: readonly string[];
  /** Where the runtime writes the process's id once it runs. */
  readonly pidFile: string;
  readonly tty: boolean;
  /** Called again and again until the process has ended. */
  readonly kill: (started: StartedProcess) => unknown;
  /** Ends what the runtime left running when it is lost itself. */
  readonly abandon?: () => Promise<void>;
  readonly io: ProcessIo;
  readonly signal: AbortSignal;
}

function pidFile(directory: string): string {
  return join(directory, "pid");
}

/** @throws BuildError for a process that was killed by an abort, or ended with a code not asked for */
function checkExit(
  exitCode: number,
  validExitCodes: readonly number[],
  signal: AbortSignal,
  usage?: CgroupUsage,
): void {
  if (signal.aborted) {
    const reason = BuildError.from(signal.reason);
    const details = [exitDetail(exitCode), ...reason.details];
    throw new BuildError(reason.code, `exit code: ${exitCode}: ${reason.message}`, { cause: reason, details });
  }
  const valid = validExitCodes.length === 0 ? [0] : validExitCodes;
  if (valid.includes(exitCode)) return;
  if (usage === undefined || usage.oomKills === 0) throw new ExecFailedError(exitCode);
  throw new ExecFailedError(exitCode, "cannot allocate memory", { outOfMemoryBytes: usage.peakMemoryBytes });
}

function runtimeEnvironment(): Record<string, string> {
  return { PATH: process.env["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin" };
}

function toBuildError(error: unknown): unknown {
  if (!(error instanceof SpawnError)) return error;
  return new BuildError(error.reason === "lost" ? Code.Unavailable : Code.Internal, error.message, {
    cause: error,
    infrastructure: true,
  });
}

function ignoreAbort(signal: AbortSignal): (error: unknown) => void {
  return (error) => {
    if (!signal.aborted) throw error;
  };
}

/** @returns undefined for a bundle that is not whole, or one whose cgroup systemd has named */
async function cgroupOfBundle(bundle: string): Promise<string | undefined> {
  try {
    const spec = JSON.parse(await readFile(join(bundle, "config.json"), "utf8")) as OciSpec;
    const path = spec.linux.cgroupsPath;
    return path.startsWith("/") ? path : undefined;
  } catch {
    return undefined;
  }
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch {
    return [];
  }
}
