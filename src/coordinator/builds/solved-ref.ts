import { Stat } from "../../api/gen/fsutil.ts";
import { ReadDirResponse } from "../../api/gen/gateway.ts";
import type { Definition } from "../../api/gen/ops.ts";
import type { BridgeRef } from "../../core/seams/llb-bridge.ts";
import type { DispatchContext, TaskDispatcher } from "../../core/seams/task-dispatcher.ts";
import type { Ref } from "../../core/values/layer.ts";
import type { CachedResult } from "../../solver/index.ts";

export interface SolvedRefOptions {
  readonly id: string;
  readonly definition: Definition;
  readonly solve: (signal: AbortSignal) => Promise<CachedResult<Ref>>;
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
    const ref = await this.evaluate(signal);
    const { offset, length } = range ?? { offset: 0, length: 0 };
    return this.#read({ op: "file", ref, path, offset, length }, signal);
  }

  async readDir(path: string, includePattern: string, signal: AbortSignal): Promise<readonly Stat[]> {
    const ref = await this.evaluate(signal);
    return ReadDirResponse.decode(await this.#read({ op: "dir", ref, path, includePattern }, signal)).entries;
  }

  async statFile(path: string, signal: AbortSignal): Promise<Stat> {
    const ref = await this.evaluate(signal);
    return Stat.decode(await this.#read({ op: "stat", ref, path }, signal));
  }

  async #read(
    body: Parameters<TaskDispatcher["run"]>[1] & { readonly op: string },
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    return (await this.#options.dispatcher.run("read", body as never, this.#options.context(signal))).data;
  }
}
