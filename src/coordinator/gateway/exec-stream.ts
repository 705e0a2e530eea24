import { constants } from "node:os";
import type { ExecMessage, FdMessage, InitMessage } from "../../api/gen/gateway.ts";
import { SecurityMode } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { exitCodeOf, unknownExitCode } from "../../core/errors/exec-failed-error.ts";
import type { ProcessIo } from "../../core/seams/executor.ts";
import type { GatewayContainer, GatewayProcess } from "../../core/seams/gateway-container.ts";
import { errorToStatus } from "../../grpc/index.ts";
import { withSignal } from "../../util/abort.ts";
import { AsyncQueue } from "../../util/async-queue.ts";

/** Chunks of stdin held for one process; beyond that the whole stream waits, as messages of one stream are in order. */
const stdinChunks = 16;

interface StreamedProcess {
  readonly stdin: AsyncQueue<Uint8Array> | undefined;
  readonly process: GatewayProcess;
}

/** The client's end of an `ExecProcess` call, or of one that carries the same messages. */
export interface ExecCall {
  readonly signal: AbortSignal;
  readonly messages: AsyncIterable<ExecMessage>;
  /** Resolves once there is room for more. @throws BuildError when the call has ended */
  send(message: ExecMessage): Promise<void>;
}

/** One `ExecProcess` call: the processes of all containers of its frontend, by ProcessID (BuildKit frontend/gateway/gateway.go). */
export class ExecStream {
  readonly #call: ExecCall;
  readonly #find: (containerId: string) => GatewayContainer | undefined;
  readonly #processes = new Map<string, StreamedProcess>();
  readonly #running = new Set<Promise<void>>();

  constructor(call: ExecCall, find: (containerId: string) => GatewayContainer | undefined) {
    this.#call = call;
    this.#find = find;
  }

  /** Until the client has said all and every process has ended; those that run when it leaves lose only their input and output. */
  async serve(): Promise<void> {
    const { signal } = this.#call;
    try {
      for await (const message of this.#call.messages) await this.#handle(message);
      await withSignal(Promise.all(this.#running), signal);
    } finally {
      for (const { stdin } of this.#processes.values()) stdin?.end();
    }
  }

  async #handle({ ProcessID: id, input }: ExecMessage): Promise<void> {
    if (id === "") throw new BuildError(Code.InvalidArgument, "ProcessID required");
    if (input?.$case === "Init") {
      this.#start(id, input.value);
      return;
    }
    const known = this.#processes.get(id);
    if (known === undefined) throw new BuildError(Code.NotFound, `IO for process ${JSON.stringify(id)} not found`);
    switch (input?.$case) {
      case "File":
        await this.#write(known, input.value);
        return;
      case "Resize":
        known.process.resize({ rows: input.value.Rows, columns: input.value.Cols });
        return;
      case "Signal": {
        const number = constants.signals[`SIG${input.value.Name.replace(/^SIG/, "")}` as NodeJS.Signals];
        if (number === undefined) throw new BuildError(Code.InvalidArgument, `Unknown signal ${input.value.Name}`);
        known.process.signal(number);
        return;
      }
    }
  }

  async #write({ stdin }: StreamedProcess, { Fd, Data, EOF }: FdMessage): Promise<void> {
    if (Fd !== 0 || stdin === undefined) throw new BuildError(Code.OutOfRange, `fd ${Fd} unavailable to write`);
    // What comes for a process that has ended is dropped.
    if (Data.length > 0) await stdin.push(Data);
    if (EOF) stdin.end();
  }

  #start(id: string, init: InitMessage): void {
    if (this.#processes.has(id)) throw new BuildError(Code.AlreadyExists, `Process ${id} already exists`);
    const container = this.#find(init.ContainerID);
    if (container === undefined) {
      const name = JSON.stringify(init.ContainerID);
      throw new BuildError(Code.NotFound, `container ${name} previously released or not created`);
    }
    const stdin = init.Fds.includes(0) ? new AsyncQueue<Uint8Array>(stdinChunks) : undefined;
    let started = false;
    const start = () => {
      if (started) return;
      started = true;
      this.#send(id, { $case: "Started", value: {} }).catch(() => {});
    };
    const output = (fd: number) => async (data: Uint8Array) => {
      if (!init.Fds.includes(fd)) return;
      await this.#send(id, { $case: "File", value: { Fd: fd, EOF: false, Data: data } }).catch(() => {});
    };
    const process = startOrFail(container, init, {
      ...(stdin === undefined ? {} : { stdin }),
      stdout: output(1),
      stderr: output(2),
      onStarted: start,
    });
    this.#processes.set(id, { stdin, process });
    const running = this.#finish(id, init, process, start)
      // Nobody is left to be told.
      .catch(() => {})
      .finally(() => {
        stdin?.end();
        this.#running.delete(running);
      });
    this.#running.add(running);
  }

  async #finish(id: string, init: InitMessage, process: GatewayProcess, start: () => void): Promise<void> {
    let failure: BuildError | undefined;
    try {
      await process.ended;
    } catch (error) {
      failure = BuildError.from(error);
    }
    // Comes first, also for a process that never came to run.
    start();
    for (const fd of init.Fds) {
      if (fd !== 0) await this.#send(id, { $case: "File", value: { Fd: fd, EOF: true, Data: new Uint8Array(0) } });
    }
    const exit =
      failure === undefined
        ? { Code: 0, Error: undefined }
        : { Code: exitCodeOf(failure) ?? unknownExitCode, Error: errorToStatus(failure) };
    await this.#send(id, { $case: "Exit", value: exit });
    await this.#send(id, { $case: "Done", value: {} });
  }

  async #send(ProcessID: string, input: NonNullable<ExecMessage["input"]>): Promise<void> {
    await this.#call.send({ ProcessID, input });
  }
}

/** A process that cannot be is reported as one that failed: an error of the call would be one of all its processes. */
function startOrFail(container: GatewayContainer, init: InitMessage, io: ProcessIo): GatewayProcess {
  try {
    return container.start(processSpec(init), io);
  } catch (error) {
    return { ended: Promise.reject(error), signal: () => {}, resize: () => {} };
  }
}

function processSpec(init: InitMessage): Parameters<GatewayContainer["start"]>[0] {
  const { args = [], env = [], cwd = "", user = "", removeMountStubsRecursive = false } = init.Meta ?? {};
  return {
    args,
    env,
    cwd,
    user,
    removeMountStubsRecursive,
    secretEnv: init.secretenv.map(({ ID, name, optional }) => ({ ID, name, optional })),
    tty: init.Tty,
    stdin: init.Fds.includes(0),
    security: securityName(init.Security),
  };
}

function securityName(mode: SecurityMode): "sandbox" | "insecure" {
  switch (mode) {
    case SecurityMode.SANDBOX:
      return "sandbox";
    case SecurityMode.INSECURE:
      return "insecure";
    default:
      throw new BuildError(Code.Unknown, `invalid security mode ${mode}`);
  }
}
