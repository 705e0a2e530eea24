import { TextDecoder } from "node:util";

/** What a step writes, cut into lines that carry the time since it began. */
export class StepLog {
  readonly #decoders = new Map<number, TextDecoder>();
  readonly #keep: number;
  #lines: string[] = [];
  /** Lines not taken yet; the last may be incomplete. */
  #pending: string[] = [];
  #partial = false;

  /** @param keepLines lines kept for error reports */
  constructor(keepLines: number) {
    this.#keep = keepLines;
  }

  /** True while the last line has not been ended. */
  get partial(): boolean {
    return this.#partial;
  }

  /** The last lines, the incomplete one included. */
  get tail(): readonly string[] {
    return this.#lines.slice(-this.#keep);
  }

  /** @param seconds since the step began */
  append(data: Uint8Array, stream: number, seconds: number): void {
    const text = this.#decode(data, stream);
    if (text === "") return;
    const stamp = seconds.toFixed(seconds < 10 ? 3 : seconds < 100 ? 2 : 1);
    const parts = text.split("\n");
    const endsLine = parts.at(-1) === "";
    if (endsLine) parts.pop();
    for (const [index, part] of parts.entries()) {
      if (index === 0 && this.#partial) this.#extend(part);
      else this.#add(`${stamp} ${part}`);
    }
    this.#partial = !endsLine;
  }

  /** Takes what has come since the last time; an incomplete last line stays and comes again, longer. */
  take(): readonly string[] {
    const taken = this.#pending;
    this.#pending = this.#partial ? taken.slice(-1) : [];
    return taken;
  }

  #decode(data: Uint8Array, stream: number): string {
    let decoder = this.#decoders.get(stream);
    if (decoder === undefined) {
      decoder = new TextDecoder();
      this.#decoders.set(stream, decoder);
    }
    return decoder.decode(data, { stream: true });
  }

  #add(line: string): void {
    this.#pending.push(line);
    this.#lines.push(line);
    if (this.#lines.length > this.#keep * 2) this.#lines = this.#lines.slice(-this.#keep);
  }

  #extend(part: string): void {
    for (const lines of [this.#pending, this.#lines]) {
      const last = lines.pop();
      lines.push(`${last ?? ""}${part}`);
    }
  }
}
