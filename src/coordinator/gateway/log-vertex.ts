import type { BridgeLog } from "../../core/seams/llb-bridge.ts";
import type { ProgressWriter } from "../../core/seams/progress.ts";

/** Shows work as a vertex for as long as the body runs. */
export type InVertex = (body: (progress: ProgressWriter) => Promise<void>) => Promise<void>;

/** Output of something that is no vertex of a definition, shown as one if there is any. */
export class LogVertex implements BridgeLog {
  readonly #inVertex: InVertex;
  readonly #end = Promise.withResolvers<void>();
  #progress: ProgressWriter | undefined;
  #pending: (() => void)[] = [];
  #shown = false;

  constructor(inVertex: InVertex) {
    this.#inVertex = inVertex;
    this.#end.promise.catch(() => {});
  }

  write(stream: 1 | 2, data: Uint8Array): void {
    if (!this.#shown) {
      this.#shown = true;
      this.#inVertex(async (progress) => {
        this.#progress = progress;
        for (const write of this.#pending) write();
        this.#pending = [];
        await this.#end.promise;
      }).catch(() => {});
    }
    if (this.#progress === undefined) this.#pending.push(() => this.#progress?.log(stream, data));
    else this.#progress.log(stream, data);
  }

  end(error?: Error): void {
    if (error === undefined) this.#end.resolve();
    else this.#end.reject(error);
  }
}
