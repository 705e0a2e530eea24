import type { ProcessControl } from "../../core/seams/executor.ts";

/** Control of a process that may not run yet: what comes before is given to it once it does. */
export class LateControl implements ProcessControl {
  readonly #signals = new Set<number>();
  #size: Parameters<ProcessControl["resize"]>[0] | undefined;
  #control: ProcessControl | undefined;

  /** The process runs. */
  start(control: ProcessControl): void {
    this.#control = control;
    if (this.#size !== undefined) control.resize(this.#size);
    for (const signal of this.#signals) control.signal(signal);
  }

  signal(signal: number): void {
    if (this.#control === undefined) this.#signals.add(signal);
    else this.#control.signal(signal);
  }

  resize(size: Parameters<ProcessControl["resize"]>[0]): void {
    if (this.#control === undefined) this.#size = size;
    else this.#control.resize(size);
  }
}
