import { Stat } from "../../api/gen/fsutil.ts";
import { ReadDirResponse } from "../../api/gen/gateway.ts";
import type { Definition } from "../../api/gen/ops.ts";
import type { BridgeRef } from "../../core/seams/llb-bridge.ts";
import type { DispatchContext, TaskDispatcher } from "../../core/seams/task-dispatcher.ts";
import type { Ref } from "../../core/values/layer.ts";
import type { TaskBody } from "../../core/values/task.ts";
import type { CachedResult, Job } from "../../solver/index.ts";
import { readResults } from "./read-results.ts";

export interface SolvedRefOptions {
  readonly id: string;
  readonly definition: Definition;
  readonly solve: (signal: AbortSignal) => Promise<CachedResult<Ref>>;
  readonly job: Pick<Job<Ref>, "discredit">;
  readonly dispatcher: TaskDispatcher;
  readonly context: (signal: AbortSignal) => DispatchContext;
}

/** A ref of a build: solved when first asked for, read by tasks on an agent that has it. */
export class SolvedRef implements BridgeRef {
  readonly id: string;
  readonly definition: Definition;
  readonly #options: SolvedRefOptions;

  constructor(options: SolvedRefOptions) {
    this.id = options.id;
    this.definition = options.definition;
    this.#options = options;
  }

  /** The solver answers at once for what it has; no copy is kept here. */
  async evaluate(signal: AbortSignal): Promise<Ref> {
    return (await this.#options.solve(signal)).result;
  }

  async readFile(
    path: string,
    range: { readonly offset: number; readonly length: number } | undefined,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const { offset, length } = range ?? { offset: 0, length: 0 };
    return this.#read((ref) => ({ op: "file", ref, path, offset, length }), signal);
  }

  async readDir(path: string, includePattern: string, signal: AbortSignal): Promise<readonly Stat[]> {
    const answer = await this.#read((ref) => ({ op: "dir", ref, path, includePattern }), signal);
    return ReadDirResponse.decode(answer).entries;
  }

  async statFile(path: string, signal: AbortSignal): Promise<Stat> {
    return Stat.decode(await this.#read((ref) => ({ op: "stat", ref, path }), signal));
  }

  async #read(request: (ref: Ref) => TaskBody<"read">, signal: AbortSignal): Promise<Uint8Array> {
    const { job, dispatcher } = this.#options;
    const context = this.#options.context(signal);
    const read = async (ref: Ref) => (await dispatcher.run("read", request(ref), context)).data;
    const again = () => this.evaluate(signal);
    return readResults(read, { job, solved: await again(), again, progress: context.progress, signal });
  }
}
