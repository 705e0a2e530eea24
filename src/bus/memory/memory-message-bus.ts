import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { BusMessage, MessageBus } from "../../core/seams/message-bus.ts";
import { sleep, withSignal } from "../../util/abort.ts";

interface Subscription {
  readonly parts: readonly string[];
  readonly handler: (message: BusMessage) => void;
}

/** A bus inside one process: standalone mode and tests. Delivery is asynchronous and in order, as over a wire. */
export class MemoryMessageBus implements MessageBus {
  readonly maxPayloadBytes = 1 << 20;
  readonly #subscriptions = new Set<Subscription>();

  publish(subject: string, data: Uint8Array): void {
    this.#deliver(subject, data, () => {});
  }

  subscribe(subject: string, handler: (message: BusMessage) => void): Disposable {
    const subscription = { parts: subject.split("."), handler };
    this.#subscriptions.add(subscription);
    return { [Symbol.dispose]: () => void this.#subscriptions.delete(subscription) };
  }

  async request(
    subject: string,
    data: Uint8Array,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<Uint8Array> {
    options.signal?.throwIfAborted();
    const answer = Promise.withResolvers<Uint8Array>();
    if (this.#deliver(subject, data, answer.resolve) === 0) {
      throw new BuildError(Code.Unavailable, `no responder on "${subject}"`, { infrastructure: true });
    }
    const timer = new AbortController();
    try {
      const expiry = sleep(options.timeoutMs, timer.signal).then(() => {
        throw new BuildError(Code.DeadlineExceeded, `no answer on "${subject}" within ${options.timeoutMs} ms`, {
          infrastructure: true,
        });
      });
      return await withSignal(Promise.race([answer.promise, expiry]), options.signal);
    } finally {
      timer.abort();
    }
  }

  async flush(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscriptions.clear();
  }

  #deliver(subject: string, data: Uint8Array, respond: (data: Uint8Array) => void): number {
    const parts = subject.split(".");
    let receivers = 0;
    for (const subscription of this.#subscriptions) {
      if (!matches(subscription.parts, parts)) continue;
      receivers++;
      queueMicrotask(() => {
        if (this.#subscriptions.has(subscription)) subscription.handler({ subject, data, respond });
      });
    }
    return receivers;
  }
}

/** NATS subject matching: `*` is one part, `>` the rest (at least one part). */
function matches(pattern: readonly string[], subject: readonly string[]): boolean {
  for (let i = 0; i < pattern.length; i++) {
    if (pattern[i] === ">") return subject.length > i;
    if (i >= subject.length) return false;
    if (pattern[i] !== "*" && pattern[i] !== subject[i]) return false;
  }
  return pattern.length === subject.length;
}
