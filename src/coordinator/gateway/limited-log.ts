import type { BridgeLog } from "../../core/seams/llb-bridge.ts";

const maxBytes = 1 << 20;

/** What a frontend says on stderr, up to an amount. Dispose ends it. */
export class LimitedLog implements Disposable {
  readonly #log: BridgeLog;
  #left = maxBytes;

  constructor(log: BridgeLog) {
    this.#log = log;
  }

  write(data: Uint8Array): void {
    if (this.#left <= 0) return;
    this.#log.write(2, data.subarray(0, this.#left));
    this.#left -= data.length;
    if (this.#left <= 0)
      this.#log.write(2, new TextEncoder().encode(`\n[output clipped, limit ${maxBytes} bytes reached]\n`));
  }

  [Symbol.dispose](): void {
    this.#log.end();
  }
}
