import { randomUUID } from "node:crypto";
import { type OpenShell, ShellInput, type ShellOpened, ShellOutput } from "../../api/gen/debug.ts";
import type { ExecMessage } from "../../api/gen/gateway.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { Edge } from "../../core/seams/op.ts";
import type { SessionGroup } from "../../core/seams/session-caller.ts";
import type { TaskDispatcher } from "../../core/seams/task-dispatcher.ts";
import type { LayerId, LayerInfo, Ref } from "../../core/values/layer.ts";
import { decodeMessages, type GrpcServer, type ServerCall } from "../../grpc/index.ts";
import type { LlbPayload } from "../../llb/definition/index.ts";
import type { BuildHistory } from "../front-door/index.ts";
import { ExecStream } from "../gateway/exec-stream.ts";
import { FleetContainer } from "../gateway/fleet-container.ts";
import type { FailedSteps } from "./failed-steps.ts";
import { findFailedStep } from "./find-failed-step.ts";
import { shellPlan } from "./shell-plan.ts";
import type { SolveError } from "./solve-error.ts";

export interface DebugServiceOptions {
  readonly failedSteps: FailedSteps;
  readonly history: Pick<BuildHistory, "listen">;
  readonly dispatcher: TaskDispatcher;
  /** Builds what a failed build had not come to. The ref lives until it is disposed. */
  readonly evaluate: (edge: Edge, signal: AbortSignal) => Promise<{ readonly ref: Ref } & AsyncDisposable>;
  readonly layer: (id: LayerId) => LayerInfo | undefined;
  /** An agent has it, or it can be had from elsewhere. */
  readonly isAvailable: (layer: LayerInfo) => boolean;
  readonly agentTakesTasks: (id: string) => boolean;
  readonly sessionIsLive: (id: string) => boolean;
  readonly sessions: (ids: readonly string[]) => SessionGroup;
}

const noProgress = { status: () => {}, log: () => {}, warn: () => {} };

/** Shells in the state of failed steps (ADR-0013). */
export class DebugService {
  readonly #options: DebugServiceOptions;

  constructor(options: DebugServiceOptions) {
    this.#options = options;
  }

  register(server: GrpcServer): void {
    server.handle("/buildfleet.v1.Debug/Shell", (call) => this.#shell(call));
  }

  async #shell(call: ServerCall): Promise<void> {
    const messages = decodeMessages(ShellInput, call.messages);
    const first = (await messages.next()).value?.input;
    if (first?.$case !== "open") throw new BuildError(Code.InvalidArgument, "the first message must open a shell");
    await using owned = new AsyncDisposableStack();
    const id = randomUUID();
    const { container, opened } = await this.#open(first.value, owned, call.signal);
    const send = (output: ShellOutput["output"]) => call.send(ShellOutput.encode({ output }).finish());
    await send({
      $case: "opened",
      value: { ...opened, process: opened.process && { ...opened.process, ContainerID: id } },
    });
    const exec = {
      signal: call.signal,
      messages: execMessages(messages),
      send: (value: ExecMessage) => send({ $case: "exec", value }),
    };
    await new ExecStream(exec, (wanted) => (wanted === id ? container : undefined)).serve();
  }

  /** @param owned takes what must live as long as the shell */
  async #open(
    query: OpenShell,
    owned: AsyncDisposableStack,
    signal: AbortSignal,
  ): Promise<{ readonly container: FleetContainer; readonly opened: ShellOpened }> {
    const { dispatcher, failedSteps, history, sessionIsLive, sessions } = this.#options;
    const { build, step } = await findFailedStep(query, failedSteps, history, signal);
    const use = failedSteps.use(step);
    if (use !== undefined) owned.use(use);
    const clients = build.sessionIds.filter(sessionIsLive);
    const plan = shellPlan(step, { inputs: query.inputs, hasClient: clients.length > 0 });
    const refs: (Ref | undefined)[] = [];
    for (const ref of plan.refs) {
      if (ref !== undefined && "layers" in ref) this.#checkLayers(ref, step);
      refs.push(ref !== undefined && "vertex" in ref ? owned.use(await this.#evaluate(ref, signal)).ref : ref);
    }
    const agent = step.layers.flatMap(({ holders }) => holders).find((holder) => this.#options.agentTakesTasks(holder));
    const { platform } = step.vertex.payload as LlbPayload;
    const container = await FleetContainer.open(
      {
        dispatcher,
        entitlements: build.entitlements,
        context: { signal, progress: noProgress, sessions: sessions(clients) },
      },
      { ...plan.request, platform, ...(agent === undefined ? {} : { constraints: [`id==${agent}`] }) },
      refs,
      signal,
    );
    owned.use(container);
    const { message, vertex } = step;
    const { process, notes } = plan;
    const opened = {
      build: build.ref,
      step: vertex.name,
      error: message,
      agent: agent ?? "",
      process,
      notes: [...notes],
    };
    return { container, opened };
  }

  async #evaluate(edge: Edge, signal: AbortSignal): Promise<{ readonly ref: Ref } & AsyncDisposable> {
    try {
      return await this.#options.evaluate(edge, signal);
    } catch (error) {
      throw BuildError.from(error).wrap("the root of the step cannot be built without the client");
    }
  }

  /** @throws BuildError when a ref of the step is gone before its time */
  #checkLayers(ref: Ref, step: SolveError): void {
    const made = new Map(step.layers.map(({ id, holders }) => [id, holders]));
    for (const id of ref.layers) {
      const info = this.#options.layer(id);
      if (info === undefined) {
        const what = `what ${JSON.stringify(step.vertex.name)} left or began with was removed by clean-up`;
        throw new BuildError(Code.FailedPrecondition, what);
      }
      const holders = made.get(id);
      if (holders === undefined || this.#options.isAvailable(info)) continue;
      throw new BuildError(
        Code.Unavailable,
        `what the step left is lost: agent ${holders.join(", ")}, which ran it, is not in the fleet; its inputs may be had (--on inputs)`,
      );
    }
  }
}

async function* execMessages(messages: AsyncIterable<ShellInput>): AsyncGenerator<ExecMessage, void, undefined> {
  for await (const { input } of messages) {
    if (input?.$case !== "exec") throw new BuildError(Code.InvalidArgument, "a shell is opened once");
    yield input.value;
  }
}
