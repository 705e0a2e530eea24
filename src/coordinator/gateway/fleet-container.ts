import { Mount, NetMode } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { ProcessIo } from "../../core/seams/executor.ts";
import type { ContainerRequest, GatewayContainer, GatewayProcess } from "../../core/seams/gateway-container.ts";
import type { TaskChannel } from "../../core/seams/task-channel.ts";
import type { DispatchContext, TaskDispatcher } from "../../core/seams/task-dispatcher.ts";
import { cacheMountUses } from "../../core/values/cache-mount.ts";
import {
  type ContainerCommand,
  type ContainerReply,
  controlChannel,
  type MountRead,
  type ProcessSpec,
  processChannel,
} from "../../core/values/container-messages.ts";
import type { Ref } from "../../core/values/layer.ts";
import type { Platform } from "../../core/values/platform.ts";
import type { TaskBody } from "../../core/values/task.ts";
import { withSignal } from "../../util/abort.ts";
import { decode, encode } from "../../util/msgpack.ts";
import { FleetProcess } from "./fleet-process.ts";

export interface FleetContainerOptions {
  readonly dispatcher: TaskDispatcher;
  /** For whom; its signal ends the container. */
  readonly context: DispatchContext;
  /** Entitlements of the build. */
  readonly entitlements: readonly string[];
}

/** How long an agent may take to end a container before it is given up. */
const releaseTimeoutMs = 30_000;

/** A container on some agent of the fleet: one task as long as the container, which calls back (BuildKit frontend/gateway/container). */
export class FleetContainer implements GatewayContainer {
  readonly #abort = new AbortController();
  readonly #released = Promise.withResolvers<void>();
  readonly #ready = Promise.withResolvers<void>();
  readonly #processes = new Map<string, FleetProcess>();
  readonly #reads = new Map<number, PromiseWithResolvers<Uint8Array>>();
  readonly #task: Promise<unknown>;
  #control: TaskChannel | undefined;
  #processCount = 0;
  #readCount = 0;
  #failure: BuildError | undefined;
  /** Why there is no container any more. */
  #lost: BuildError | undefined;

  private constructor(options: FleetContainerOptions, body: TaskBody<"container">) {
    const { context, dispatcher } = options;
    this.#ready.promise.catch(() => {});
    this.#task = dispatcher
      .run("container", body, {
        ...context,
        signal: AbortSignal.any([context.signal, this.#abort.signal]),
        onChannel: (name, channel, signal) => this.#serve(name, channel, signal),
      })
      .then(
        () => this.#ended(new BuildError(Code.Canceled, "context canceled")),
        (error: unknown) => this.#ended(BuildError.from(error)),
      );
  }

  /**
   * @param refs of the request's mounts, where they have one
   * @returns once its mounts are ready
   */
  static async open(
    options: FleetContainerOptions,
    request: ContainerRequest,
    refs: readonly (Ref | undefined)[],
    signal: AbortSignal,
  ): Promise<FleetContainer> {
    const container = new FleetContainer(
      {
        ...options,
        context: {
          ...options.context,
          ...(runsOn(request.platform) ? { platform: request.platform } : {}),
          ...(request.constraints === undefined ? {} : { constraints: request.constraints }),
        },
      },
      { ...taskBody(request, refs), entitlements: options.entitlements },
    );
    try {
      await withSignal(container.#ready.promise, signal);
      return container;
    } catch (error) {
      container.#abort.abort(error);
      await container.#task;
      throw error;
    }
  }

  get failure(): BuildError | undefined {
    return this.#failure;
  }

  start(spec: ProcessSpec, io: ProcessIo): GatewayProcess {
    const number = this.#processCount++;
    const process = new FleetProcess(io, {
      signal: (signal) => this.#command({ type: "signal", process: number, signal }),
      resize: ({ rows, columns }) => this.#command({ type: "resize", process: number, rows, columns }),
    });
    if (this.#lost !== undefined) {
      process.fail(this.#lost);
      return process;
    }
    const name = processChannel(number);
    this.#processes.set(name, process);
    process.ended
      .catch((error: unknown) => {
        this.#failure ??= BuildError.from(error);
      })
      .finally(() => this.#processes.delete(name));
    this.#command({ type: "start", process: number, spec });
    return process;
  }

  async read(mount: number, read: MountRead, signal: AbortSignal): Promise<Uint8Array> {
    if (this.#lost !== undefined) throw this.#lost;
    const id = this.#readCount++;
    const answer = Promise.withResolvers<Uint8Array>();
    this.#reads.set(id, answer);
    try {
      this.#command({ type: "read", id, mount, read });
      return await withSignal(answer.promise, signal);
    } finally {
      this.#reads.delete(id);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#released.resolve();
    const timer = setTimeout(() => {
      this.#abort.abort(new BuildError(Code.DeadlineExceeded, "agent does not end the container"));
    }, releaseTimeoutMs);
    try {
      await this.#task;
    } finally {
      clearTimeout(timer);
    }
  }

  #command(command: ContainerCommand): void {
    // A channel that breaks ends the task, and that ends whatever waits.
    this.#control?.send(encode(command)).catch(() => {});
  }

  async #serve(name: string, channel: TaskChannel, signal: AbortSignal): Promise<void> {
    if (name === controlChannel) {
      this.#control = channel;
      await withSignal(Promise.race([this.#hear(channel), this.#released.promise]), signal);
      return;
    }
    const process = this.#processes.get(name);
    if (process === undefined) throw new BuildError(Code.NotFound, `container has no ${name}`);
    await process.serve(channel, signal);
  }

  async #hear(channel: TaskChannel): Promise<void> {
    for await (const message of channel.messages) {
      const reply = decode<ContainerReply>(message);
      switch (reply.type) {
        case "ready":
          this.#ready.resolve();
          break;
        case "read":
          this.#reads.get(reply.id)?.resolve(reply.data);
          break;
        case "failed":
          this.#reads.get(reply.id)?.reject(BuildError.fromWire(reply.error));
          break;
      }
    }
  }

  #ended(error: BuildError): void {
    this.#lost = error;
    this.#ready.reject(error);
    for (const process of this.#processes.values()) process.fail(error);
    for (const read of this.#reads.values()) read.reject(error);
  }
}

function taskBody(
  request: ContainerRequest,
  refs: readonly (Ref | undefined)[],
): Omit<TaskBody<"container">, "entitlements"> {
  const inputs: Ref[] = [];
  const mounts = request.mounts.map(({ mount }, index): Mount => {
    const ref = refs[index];
    if (ref !== undefined) inputs.push(ref);
    // An output of its own: the mount is writable, and what is written there is thrown away with the container.
    return { ...mount, resultID: "", output: 0, input: ref === undefined ? -1 : inputs.length - 1 };
  });
  return {
    mounts: mounts.map((mount) => Mount.encode(mount).finish()),
    inputs,
    cacheMounts: cacheMountUses(mounts, inputs),
    network: networkName(request.network),
    hostname: request.hostname ?? "",
    extraHosts: request.extraHosts ?? [],
    files: request.files ?? [],
    ...(request.platform === undefined ? {} : { platform: request.platform }),
  };
}

/** Agents run Linux: another system says what the environment is to look like, not where to run (BuildKit does not look at all). */
function runsOn(platform: Platform | undefined): platform is Platform {
  return platform?.os === "linux";
}

function networkName(mode: NetMode): "sandbox" | "host" | "none" {
  switch (mode) {
    case NetMode.UNSET:
      return "sandbox";
    case NetMode.HOST:
      return "host";
    case NetMode.NONE:
      return "none";
    default:
      throw new BuildError(Code.Unknown, `unknown network mode ${mode}`);
  }
}
