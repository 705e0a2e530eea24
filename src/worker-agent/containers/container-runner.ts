import { randomUUID } from "node:crypto";
import { Mount, MountType } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { Executor } from "../../core/seams/executor.ts";
import type { OpRunner, RunContext } from "../../core/seams/op-runner.ts";
import type { TaskChannels } from "../../core/seams/task-channel.ts";
import {
  type ContainerCommand,
  type ContainerReply,
  controlChannel,
  maxReadBytes,
} from "../../core/values/container-messages.ts";
import { hostPlatform } from "../../core/values/platform.ts";
import type { Task, TaskResult } from "../../core/values/task.ts";
import { decode, encode } from "../../util/msgpack.ts";
import type { Emulators } from "../emulation/index.ts";
import type { MountArea } from "../ops/exec/mount-area.ts";
import { type CacheMountAccess, cacheMountSources } from "../ops/exec/step-cache-mounts.ts";
import { StepMounts } from "../ops/exec/step-mounts.ts";
import type { ReadRunner } from "../ops/read-op.ts";
import { ContainerFiles } from "./container-files.ts";
import { HostedContainer } from "./hosted-container.ts";

export interface ContainerRunnerOptions extends CacheMountAccess {
  readonly executor: Executor;
  readonly area: MountArea;
  readonly emulators: Emulators;
  readonly copyTree: (source: string, target: string, signal: AbortSignal) => Promise<void>;
  /** Reads files below the mounts. */
  readonly reader: ReadRunner;
  readonly channels: (task: Task) => TaskChannels;
}

/** Holds a frontend's container for as long as the coordinator keeps its control channel open. */
export class ContainerRunner implements OpRunner<"container"> {
  readonly kind = "container";
  readonly #options: ContainerRunnerOptions;

  constructor(options: ContainerRunnerOptions) {
    this.#options = options;
  }

  async run(task: Task<"container">, context: RunContext): Promise<TaskResult<"container">> {
    const { body } = task;
    const { signal } = context;
    const { area, executor, reader } = this.#options;
    const requested = body.mounts.map((bytes) => Mount.decode(bytes));
    await using mounts = await StepMounts.prepare(
      {
        mounts: requested,
        inputs: body.inputs,
        cwd: "/",
        command: "container",
        layers: context.layers,
        sessions: context.sessions,
        area,
        cacheMounts: cacheMountSources(this.#options, task, context),
        copyTree: this.#options.copyTree,
      },
      signal,
    );
    using files = new ContainerFiles(area, body.files);
    const channels = this.#options.channels(task);
    await using control = channels.open(controlChannel, { signal });
    const reply = (message: ContainerReply) => control.send(encode(message));
    await using container = new HostedContainer({
      id: randomUUID().replaceAll("-", ""),
      root: mounts.root,
      mounts: [...mounts.mounts, ...files.mounts],
      emulators: this.#options.emulators,
      platform: body.platform ?? hostPlatform(),
      network: body.network,
      hostname: body.hostname,
      extraHosts: body.extraHosts,
      entitlements: body.entitlements,
      executor,
      channels,
      sessions: context.sessions,
      logger: context.logger,
      signal,
    });
    const read = async ({ id, mount, read: what }: Extract<ContainerCommand, { type: "read" }>) => {
      try {
        const root = mountedPath(requested, mounts, mount);
        const data = await reader.read(root, what, signal);
        if (data.length > maxReadBytes) {
          const text = `answer of ${data.length} bytes is larger than ${maxReadBytes}: read the file in parts`;
          throw new BuildError(Code.ResourceExhausted, text);
        }
        await reply({ type: "read", id, data });
      } catch (error) {
        await reply({ type: "failed", id, error: BuildError.from(error).toWire() });
      }
    };
    await reply({ type: "ready" });
    const reads = new Set<Promise<void>>();
    try {
      for await (const message of control.messages) {
        const command = decode<ContainerCommand>(message);
        if (command.type !== "read") {
          container.handle(command);
          continue;
        }
        const reading = read(command)
          .catch(() => {})
          .finally(() => reads.delete(reading));
        reads.add(reading);
      }
    } finally {
      await Promise.all(reads);
    }
    return {};
  }
}

/** Directory that is mount number `index` of the request. */
function mountedPath(requested: readonly Mount[], mounts: StepMounts, index: number): string {
  const mount = requested[index];
  if (mount === undefined) {
    throw new BuildError(Code.Unknown, `mount index ${index} is out of bounds (${requested.length} available)`);
  }
  if (mount.dest === "/") return mounts.root.path;
  const found = mounts.mounts.find(({ type, destination }) => type === "bind" && destination === mount.dest);
  const isTree = mount.mountType === MountType.BIND || mount.mountType === MountType.CACHE;
  if (found === undefined || !isTree) throw new BuildError(Code.Unknown, `mountable ${index} not found`);
  return found.source;
}
