import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { ContainerProcess, Executor, ProcessIo } from "../../core/seams/executor.ts";
import type { Logger } from "../../core/seams/logger.ts";
import type { SessionGroup } from "../../core/seams/session-caller.ts";
import type { TaskChannels } from "../../core/seams/task-channel.ts";
import { type ContainerCommand, type ProcessSpec, processChannel } from "../../core/values/container-messages.ts";
import type { Platform } from "../../core/values/platform.ts";
import { withSignal } from "../../util/abort.ts";
import { type Emulation, type Emulators, noEmulation } from "../emulation/index.ts";
import { stepEnvironment } from "../ops/exec/environment.ts";
import { loadSecretEnvironment } from "../ops/exec/secret-environment.ts";
import { LateControl } from "./late-control.ts";
import { ProcessLink } from "./process-link.ts";

export interface HostedContainerOptions
  extends Pick<ContainerProcess, "id" | "mounts" | "platform" | "network" | "hostname" | "extraHosts"> {
  readonly root: { readonly path: string; readonly readonly: boolean };
  readonly emulators: Emulators;
  readonly entitlements: readonly string[];
  readonly executor: Executor;
  readonly channels: TaskChannels;
  readonly sessions: SessionGroup;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/**
 * The processes of one container: the first that is started is its init, later ones join it (BuildKit
 * frontend/gateway/container). Dispose kills them all and resolves when they are gone.
 */
export class HostedContainer implements AsyncDisposable {
  readonly #options: HostedContainerOptions;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #processes = new Map<number, { readonly done: Promise<void>; readonly control: LateControl }>();
  readonly #up = Promise.withResolvers<void>();
  #hasInit = false;
  /** Of the first process; the others join it. */
  #emulation: Emulation | undefined;

  constructor(options: HostedContainerOptions) {
    this.#options = options;
    this.#signal = AbortSignal.any([options.signal, this.#stop.signal]);
    this.#up.promise.catch(() => {});
  }

  handle(command: Exclude<ContainerCommand, { readonly type: "read" }>): void {
    const process = this.#processes.get(command.process);
    switch (command.type) {
      case "start":
        this.#start(command.process, command.spec);
        return;
      case "signal":
        process?.control.signal(command.signal);
        return;
      case "resize":
        process?.control.resize(command);
        return;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new BuildError(Code.Canceled, "context canceled"));
    await Promise.all([...this.#processes.values()].map(({ done }) => done));
  }

  #start(process: number, spec: ProcessSpec): void {
    const isInit = !this.#hasInit;
    this.#hasInit = true;
    const control = new LateControl();
    const done = this.#run(process, spec, isInit, control)
      .catch((error: unknown) => this.#options.logger.debug("process of container lost", { error: String(error) }))
      .finally(() => this.#processes.delete(process));
    this.#processes.set(process, { done, control });
  }

  async #run(process: number, spec: ProcessSpec, isInit: boolean, control: LateControl): Promise<void> {
    // Not ended by the container's end: how its processes ended is still told.
    const channel = this.#options.channels.open(processChannel(process), { signal: this.#options.signal });
    await using link = new ProcessLink(channel, {
      hasStdin: spec.stdin,
      signal: this.#signal,
      onStarted: (started) => {
        control.start(started);
        if (isInit) this.#up.resolve();
      },
    });
    let failure: BuildError | undefined;
    try {
      this.#checkEntitlements(spec);
      await this.#execute(spec, isInit, link.io, link.signal);
    } catch (error) {
      failure = BuildError.from(error);
    } finally {
      if (isInit) this.#up.reject(new BuildError(Code.Unknown, `container ${this.#options.id} has stopped`));
    }
    await link.exit(failure);
  }

  async #execute(spec: ProcessSpec, isInit: boolean, io: ProcessIo, signal: AbortSignal): Promise<void> {
    const { executor, sessions, emulators, root, ...options } = this.#options;
    if (isInit) this.#emulation = emulators.forContainer(options.platform, spec.security);
    const secrets = await loadSecretEnvironment(spec.secretEnv, { sessions, signal });
    const env = withDefaults(spec, this.#options.platform);
    if (!isInit) await withSignal(this.#up.promise, signal);
    const { prefix, mounts: emulator, ...namespace } = this.#emulation ?? noEmulation;
    const process = {
      args: [...prefix, ...spec.args],
      env: stepEnvironment(env, undefined, secrets.entries),
      cwd: spec.cwd === "" ? "/" : spec.cwd,
      user: spec.user,
      tty: spec.tty,
    };
    if (!isInit) {
      await executor.exec(options.id, process, io, signal);
      return;
    }
    const { id, mounts, platform, network, hostname, extraHosts } = options;
    await executor.run(
      {
        ...process,
        ...namespace,
        ...{ id, platform, network, hostname, extraHosts },
        mounts: [...mounts, ...emulator],
        rootfs: root.path,
        rootReadonly: root.readonly,
        security: spec.security,
        ulimits: [],
        cgroupParent: "",
        removeMountStubsRecursive: spec.removeMountStubsRecursive,
        validExitCodes: [],
      },
      io,
      signal,
    );
  }

  /** The coordinator has granted these; an agent does not take its word for what opens the host. */
  #checkEntitlements({ security }: ProcessSpec): void {
    const { network, entitlements } = this.#options;
    const needed = [
      ...(network === "host" ? ["network.host"] : []),
      ...(security === "insecure" ? ["security.insecure"] : []),
    ];
    for (const entitlement of needed) {
      if (!entitlements.includes(entitlement)) throw new BuildError(Code.Unknown, `${entitlement} is not allowed`);
    }
  }
}

/** BuildKit util/system/path.go */
const windowsPath = "c:\\Windows\\System32;c:\\Windows;C:\\Windows\\System32\\WindowsPowerShell\\v1.0";

function withDefaults({ env, tty }: ProcessSpec, platform: Platform): readonly string[] {
  const has = (name: string) => env.some((entry) => entry.startsWith(`${name}=`));
  return [
    ...env,
    ...(platform.os === "windows" && !has("PATH") ? [`PATH=${windowsPath}`] : []),
    ...(tty && !has("TERM") ? ["TERM=xterm"] : []),
  ];
}
