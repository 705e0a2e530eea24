import { isIP } from "node:net";
import { Stat } from "../../api/gen/fsutil.ts";
import {
  ExecMessage,
  type NewContainerRequest,
  type ReadDirRequest,
  ReadDirResponse,
  type ReadFileRequest,
  type ReadFileResponse,
  type StatFileRequest,
  type StatFileResponse,
} from "../../api/gen/gateway.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { GatewayContainer } from "../../core/seams/gateway-container.ts";
import type { LlbBridge } from "../../core/seams/llb-bridge.ts";
import type { Platform } from "../../core/values/platform.ts";
import { decodeMessages, type ServerCall } from "../../grpc/index.ts";
import { ExecStream } from "./exec-stream.ts";
import type { MountableRef } from "./failure-refs.ts";

export interface BridgeContainersOptions {
  readonly bridge: LlbBridge;
  /** A ref by the id the frontend knows it by. @throws BuildError for an unknown one */
  readonly ref: (id: string) => MountableRef;
  readonly platform: (message: NonNullable<NewContainerRequest["platform"]>) => Platform;
}

/** The containers of one frontend by the ids it chose (BuildKit frontend/gateway/gateway.go NewContainer and following). */
export class BridgeContainers {
  readonly #options: BridgeContainersOptions;
  readonly #containers = new Map<string, GatewayContainer>();
  readonly #discarded = new AbortController();

  constructor(options: BridgeContainersOptions) {
    this.#options = options;
  }

  async create(request: NewContainerRequest, callSignal: AbortSignal): Promise<void> {
    const { bridge, ref, platform } = this.#options;
    const id = request.ContainerID;
    const signal = AbortSignal.any([callSignal, this.#discarded.signal]);
    const mounts = request.Mounts.map((mount) => {
      if (mount.resultID === "") return { mount };
      try {
        return { mount, ref: ref(mount.resultID) };
      } catch (error) {
        const what = `failed to find ref ${mount.resultID} for ${JSON.stringify(mount.dest)} mount`;
        throw BuildError.from(error).wrap(what);
      }
    });
    const extraHosts = request.extraHosts.map(({ Host, IP }) => {
      if (isIP(IP) === 0) throw new BuildError(Code.Unknown, `failed to parse IP ${IP}`);
      return { host: Host, ip: IP };
    });
    const container = await bridge.newContainer(
      {
        mounts,
        extraHosts,
        network: request.Network,
        hostname: request.hostname,
        ...(request.platform === undefined ? {} : { platform: platform(request.platform) }),
        ...(request.constraints === undefined ? {} : { constraints: request.constraints.filter }),
      },
      signal,
    );
    if (signal.aborted || this.#containers.has(id)) {
      await container[Symbol.asyncDispose]();
      signal.throwIfAborted();
      throw new BuildError(Code.AlreadyExists, `Container ${id} already exists`);
    }
    this.#containers.set(id, container);
  }

  /** @throws BuildError when one of its processes failed, or had to be ended */
  async release(id: string): Promise<void> {
    const container = this.#containers.get(id);
    this.#containers.delete(id);
    if (container === undefined) throw new BuildError(Code.Unknown, `container details for ${id} not found`);
    await container[Symbol.asyncDispose]();
    if (container.failure !== undefined) throw container.failure;
  }

  async exec(call: ServerCall): Promise<void> {
    const messages = decodeMessages(ExecMessage, call.messages);
    const send = (message: ExecMessage) => call.send(ExecMessage.encode(message).finish());
    await new ExecStream({ signal: call.signal, messages, send }, (id) => this.#containers.get(id)).serve();
  }

  async readFile(request: ReadFileRequest, signal: AbortSignal): Promise<ReadFileResponse> {
    const { Offset: offset = 0, Length: length = 0 } = request.Range ?? {};
    const container = this.#find(request);
    return {
      Data: await container.read(request.MountIndex, { op: "file", path: request.FilePath, offset, length }, signal),
    };
  }

  async readDir(request: ReadDirRequest, signal: AbortSignal): Promise<ReadDirResponse> {
    const read = { op: "dir" as const, path: request.DirPath, includePattern: request.IncludePattern };
    return ReadDirResponse.decode(await this.#find(request).read(request.MountIndex, read, signal));
  }

  async statFile(request: StatFileRequest, signal: AbortSignal): Promise<StatFileResponse> {
    const read = { op: "stat" as const, path: request.Path };
    return { stat: Stat.decode(await this.#find(request).read(request.MountIndex, read, signal)) };
  }

  /** Ends what is left; nothing can be made any more. */
  async discard(): Promise<void> {
    this.#discarded.abort(new BuildError(Code.Canceled, "context canceled"));
    const left = [...this.#containers.values()];
    this.#containers.clear();
    await Promise.all(left.map((container) => container[Symbol.asyncDispose]()));
  }

  #find({ Ref: id, MountIndex: mount }: { readonly Ref: string; readonly MountIndex: number }): GatewayContainer {
    const container = this.#containers.get(id);
    if (container === undefined) throw new BuildError(Code.Unknown, `container details for ${id}@${mount} not found`);
    return container;
  }
}
