import { closeSync, constants, existsSync, mkdirSync, openSync } from "node:fs";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import { ExecFailedError, unknownExitCode } from "../core/errors/exec-failed-error.ts";
import type { ContainerProcess, ExecUsage, Executor, ProcessIo } from "../core/seams/executor.ts";
import { type Logger, silentLogger } from "../core/seams/logger.ts";
import { hostPlatform } from "../core/values/platform.ts";
import { sleep, withSignal } from "../util/abort.ts";
import { type ExitStatus, type ProcessSpawner, SpawnError, type SpawnOptions } from "../util/process/index.ts";
import { Cgroups, type CgroupUsage } from "./cgroups.ts";
import type { OciRuntime } from "./find-runtime.ts";
import { HostFiles } from "./host-files.ts";
import { isTmpfs, MountFlag, mount, mountSource, unmount } from "./linux-calls.ts";
import type { DnsConfig } from "./network/resolv-conf.ts";
import { PseudoTerminal } from "./pseudo-terminal.ts";
import { MountStubs } from "./rootfs/mount-stubs.ts";
import { lookUpUser } from "./rootfs/user.ts";
import { ensureWorkingDirectory } from "./rootfs/working-directory.ts";
import { signalNumber } from "./signal-number.ts";
import { buildSpec, type SpecContext } from "./spec/build-spec.ts";

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
    if (!isTmpfs(options.root))
      mount(tmpfsName, options.root, "tmpfs", MountFlag.NoSuid | MountFlag.NoDev, "mode=0711");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // By its name: after a crash it is the mount of an earlier process, and a tmpfs we did not make is not ours to end.
    if (mountSource(this.#options.root) === tmpfsName) unmount(this.#options.root);
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

  async reap(): Promise<void> {
    for (const id of await namesIn(this.#stateRoot)) {
      this.#logger.warn("Removing a container left by an earlier process", { container: id });
      await this.#forceDelete(id);
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
    const startedAt = performance.now();
    let usage: CgroupUsage = { cpuNanos: 0, peakMemoryBytes: 0, oomKills: 0 };
    let exitCode = unknownExitCode;
    try {
      const status = await this.#runToEnd(container, bundle, io, signal);
      exitCode = status.code ?? 128 + signalNumber(status.signal);
      usage = this.#cgroups.usage(cgroup);
    } finally {
      await this.#remove(container.id, cgroup);
    }
    if (signal.aborted) {
      const reason = BuildError.from(signal.reason);
      throw new BuildError(reason.code, `exit code: ${exitCode}: ${reason.message}`, { cause: reason });
    }
    const valid = container.validExitCodes.length === 0 ? [0] : container.validExitCodes;
    if (!valid.includes(exitCode)) {
      throw new ExecFailedError(exitCode, usage.oomKills > 0 ? "cannot allocate memory" : undefined);
    }
    const { cpuNanos, peakMemoryBytes } = usage;
    return { exitCode, cpuNanos, peakMemoryBytes, wallMs: performance.now() - startedAt };
  }

  /** The exit status of `runtime run`, which is the container's. On abort it ends because the container was killed. */
  async #runToEnd(
    { id, tty }: ContainerProcess,
    bundle: string,
    io: ProcessIo,
    signal: AbortSignal,
  ): Promise<ExitStatus> {
    const ended = new AbortController();
    const lastResort = new AbortController();
    let killing: Promise<void> | undefined;
    const onAbort = () => {
      killing = this.#kill(id, ended.signal, lastResort);
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
      const argv = [...this.#command(bundle), "run", "--keep", "--bundle", bundle, id];
      const options = { env: runtimeEnvironment(), signal: lastResort.signal };
      if (tty) return await this.#runOnTerminal(argv, options, { ...io, stdout: deliver((data) => io.stdout(data)) });
      return await this.#options.spawner.run(argv, {
        ...options,
        ...(io.stdin === undefined ? {} : { stdin: io.stdin }),
        stdout: deliver((data) => io.stdout(data)),
        stderr: deliver((data) => io.stderr(data)),
      });
    } catch (error) {
      if (lastResort.signal.aborted) return { code: null, signal: "SIGKILL" };
      outputError = { error };
      throw toBuildError(error);
    } finally {
      signal.removeEventListener("abort", onAbort);
      ended.abort();
      await killing;
      // The runtime may live on when a callback threw or the helper died; removing the container ends it.
      if (outputError !== undefined) await this.#forceDelete(id);
    }
  }

  /** The runtime passes its own terminal on to the container's. All output is stdout then. */
  async #runOnTerminal(argv: readonly string[], options: SpawnOptions, io: ProcessIo): Promise<ExitStatus> {
    await using terminal = new PseudoTerminal();
    const typing = (async () => {
      for await (const data of io.stdin ?? []) await terminal.write(data);
    })();
    typing.catch((error) => this.#logger.warn("Cannot write to terminal", { error: String(error) }));
    const running = this.#options.spawner.run(argv, { ...options, terminal: terminal.path });
    // Until the process has opened its end, ours reads as closed.
    const own = openSync(terminal.path, constants.O_RDWR | constants.O_NOCTTY);
    running.finally(() => closeSync(own)).catch(() => {});
    const printing = (async () => {
      for await (const data of terminal.output()) await io.stdout(data);
    })();
    printing.catch(() => {});
    const status = await running;
    await printing;
    return status;
  }

  /** Kills until the container is seen to have ended. It may not exist yet when the abort comes early. */
  async #kill(id: string, ended: AbortSignal, lastResort: AbortController): Promise<void> {
    const giveUpAt = performance.now() + killPatienceMs;
    while (!ended.aborted) {
      if (performance.now() > giveUpAt) {
        this.#logger.warn("Container does not end after kill", { container: id });
        lastResort.abort(new Error("container does not end"));
        return;
      }
      await this.#call(["kill", id, "KILL"]);
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

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch {
    return [];
  }
}
