import { randomBytes } from "node:crypto";
import { SolveRequest, SolveResponse } from "../../../src/api/gen/control.ts";
import * as gateway from "../../../src/api/gen/gateway.ts";
import { Mount, SecurityMode } from "../../../src/api/gen/ops.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import type { ClientCall, GrpcClient, MessageCodec } from "../../../src/grpc/index.ts";
import { marshalState, type State } from "../../../src/llb/builder/index.ts";
import { AsyncQueue } from "../../../src/util/async-queue.ts";

export type NewContainer = Parameters<typeof gateway.NewContainerRequest.fromPartial>[0];

/** JSON form of errdefs.Solve. */
export interface SolveDetail {
  readonly inputIDs?: readonly string[];
  readonly mountIDs?: readonly string[];
  readonly op?: { readonly exec?: { readonly meta: { readonly args: readonly string[] } }; readonly file?: object };
  readonly file?: { readonly index?: string };
  readonly cache?: { readonly index?: string };
}

/** A build that this process drives through LLBBridge, as buildctl and buildx do. Dispose cancels it if it still runs. */
export class GatewayBuild implements AsyncDisposable {
  /** Ends when the build does. */
  readonly solve: Promise<SolveResponse>;
  /** Ref of the build. */
  readonly id = randomBytes(12).toString("hex");
  readonly #grpc: GrpcClient;
  readonly #abort = new AbortController();
  #containers = 0;

  constructor(grpc: GrpcClient, entitlements: readonly string[] = []) {
    this.#grpc = grpc;
    this.solve = grpc.unary(
      "/moby.buildkit.v1.Control/Solve",
      SolveRequest,
      SolveResponse,
      SolveRequest.fromPartial({ Ref: this.id, Entitlements: [...entitlements] }),
      { signal: this.#abort.signal },
    );
    this.solve.catch(() => {});
  }

  async call<Req, Res>(name: string, request: MessageCodec<Req>, response: MessageCodec<Res>, message: Req) {
    return this.#grpc.unary(method(name), request, response, message, { metadata: this.#metadata });
  }

  /** @returns id of the ref of a graph */
  async ref(state: State): Promise<string> {
    const { result } = await this.call(
      "Solve",
      gateway.SolveRequest,
      gateway.SolveResponse,
      gateway.SolveRequest.fromPartial({
        Definition: marshalState(state),
        allowResultReturn: true,
        allowResultArrayRef: true,
      }),
    );
    return result?.result?.$case === "ref" ? result.result.value.id : "";
  }

  /** Runs a graph that must fail. @returns its error, and what it tells of the vertex that failed */
  async failure(state: State): Promise<{ readonly error: BuildError; readonly told: SolveDetail }> {
    const request = gateway.SolveRequest.fromPartial({ Definition: marshalState(state), Evaluate: true });
    const error = await this.call("Solve", gateway.SolveRequest, gateway.SolveResponse, request).then(
      () => new Error("the build did not fail"),
      (thrown: unknown) => thrown,
    );
    if (!(error instanceof BuildError)) throw error;
    const detail = error.details.find(({ typeUrl }) => typeUrl.endsWith("errdefs.Solve+json"));
    return { error, told: JSON.parse(Buffer.from(detail?.value ?? "").toString()) as SolveDetail };
  }

  /** @returns id of a container, by default with this ref as its root */
  async container(ref: string, more: NewContainer = {}): Promise<string> {
    const id = `container-${this.#containers++}`;
    const { Mounts = [], ...rest } = more;
    await this.call(
      "NewContainer",
      gateway.NewContainerRequest,
      gateway.NewContainerResponse,
      gateway.NewContainerRequest.fromPartial({
        ContainerID: id,
        Mounts: [Mount.fromPartial({ dest: "/", resultID: ref }), ...Mounts],
        ...rest,
      }),
    );
    return id;
  }

  async release(container: string): Promise<void> {
    const request = { ContainerID: container };
    await this.call("ReleaseContainer", gateway.ReleaseContainerRequest, gateway.ReleaseContainerResponse, request);
  }

  processes(): ProcessStream {
    return new ProcessStream(this.#grpc.open(method("ExecProcess"), { metadata: this.#metadata }));
  }

  /** Ends the build well, with nothing as its result. */
  async finish(): Promise<void> {
    const request = gateway.ReturnRequest.fromPartial({ result: {} });
    await this.call("Return", gateway.ReturnRequest, gateway.ReturnResponse, request);
    await this.solve;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await this.solve.catch(() => {});
  }

  get #metadata() {
    return { "buildkit-controlapi-buildid": [this.id] };
  }
}

export interface ProcessOptions {
  readonly env?: readonly string[];
  readonly cwd?: string;
  readonly user?: string;
  readonly tty?: boolean;
  /** Default 1 and 2. */
  readonly fds?: readonly number[];
  readonly security?: SecurityMode;
}

/** One `ExecProcess` call. */
export class ProcessStream implements AsyncDisposable {
  /** Rejects when the call fails. */
  readonly ended: Promise<void>;
  readonly #call: ClientCall;
  readonly #processes = new Map<string, TestProcess>();

  constructor(call: ClientCall) {
    this.#call = call;
    this.ended = this.#receive();
    this.ended.catch(() => {});
  }

  start(container: string, args: readonly string[], options: ProcessOptions = {}): TestProcess {
    const id = `process-${this.#processes.size}`;
    const process = new TestProcess((input) => this.send(id, input));
    this.#processes.set(id, process);
    const {
      env = ["PATH=/bin"],
      cwd = "/",
      user = "",
      tty = false,
      fds = [1, 2],
      security = SecurityMode.SANDBOX,
    } = options;
    const init = gateway.InitMessage.fromPartial({
      ContainerID: container,
      Meta: { args: [...args], env: [...env], cwd, user },
      Fds: [...fds],
      Tty: tty,
      Security: security,
    });
    this.send(id, { $case: "Init", value: init }).catch(() => {});
    return process;
  }

  async send(ProcessID: string, input: gateway.ExecMessage["input"]): Promise<void> {
    await this.#call.send(gateway.ExecMessage.encode({ ProcessID, input }).finish());
  }

  closeSend(): void {
    this.#call.closeSend();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#call[Symbol.asyncDispose]();
  }

  async #receive(): Promise<void> {
    try {
      for await (const bytes of this.#call.messages) {
        const { ProcessID, input } = gateway.ExecMessage.decode(bytes);
        await this.#processes.get(ProcessID)?.hear(input);
      }
    } finally {
      for (const process of this.#processes.values()) process.output.end();
    }
  }
}

export class TestProcess {
  /** Kinds of messages in the order they came, runs of the same kind as one. */
  readonly seen: string[] = [];
  /** What comes on stdout; read it, or the stream stops. */
  readonly output = new AsyncQueue<Uint8Array>(4);
  readonly exit: Promise<gateway.ExitMessage>;
  stderr = "";
  readonly #exit = Promise.withResolvers<gateway.ExitMessage>();
  readonly #send: (input: gateway.ExecMessage["input"]) => Promise<void>;

  constructor(send: (input: gateway.ExecMessage["input"]) => Promise<void>) {
    this.#send = send;
    this.exit = this.#exit.promise;
  }

  /** All of stdout. */
  async text(): Promise<string> {
    const parts: Uint8Array[] = [];
    for await (const part of this.output) parts.push(part);
    return Buffer.concat(parts).toString();
  }

  async write(data: string | Uint8Array): Promise<void> {
    await this.#send({ $case: "File", value: { Fd: 0, EOF: false, Data: Buffer.from(data) } });
  }

  async end(): Promise<void> {
    await this.#send({ $case: "File", value: { Fd: 0, EOF: true, Data: new Uint8Array(0) } });
  }

  async signal(Name: string): Promise<void> {
    await this.#send({ $case: "Signal", value: { Name } });
  }

  async resize(Rows: number, Cols: number): Promise<void> {
    await this.#send({ $case: "Resize", value: { Rows, Cols } });
  }

  async hear(input: gateway.ExecMessage["input"]): Promise<void> {
    const kind = input?.$case ?? "";
    if (this.seen.at(-1) !== kind) this.seen.push(kind);
    if (input?.$case === "File") {
      const { Fd, Data } = input.value;
      if (Fd === 1 && Data.length > 0) await this.output.push(Data);
      if (Fd === 2) this.stderr += Buffer.from(Data).toString();
    }
    if (input?.$case === "Exit") this.#exit.resolve(input.value);
    if (input?.$case === "Done") this.output.end();
  }
}

function method(name: string): string {
  return `/moby.buildkit.v1.frontend.LLBBridge/${name}`;
}
