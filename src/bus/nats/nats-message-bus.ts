import { type Msg, type NatsConnection, RequestError, TimeoutError } from "@nats-io/nats-core";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { BusMessage, MessageBus } from "../../core/seams/message-bus.ts";
import { withSignal } from "../../util/abort.ts";

/** The bus on NATS core (at most once; callers repeat what must arrive). Owns the connection. */
export class NatsMessageBus implements MessageBus {
  readonly #connection: NatsConnection;
  readonly #onBadMessage: (subject: string, error: unknown) => void;

  /** @param onBadMessage told of messages that a handler cannot read: anyone on the bus may send anything */
  constructor(connection: NatsConnection, onBadMessage: (subject: string, error: unknown) => void = () => {}) {
    this.#connection = connection;
    this.#onBadMessage = onBadMessage;
  }

  get maxPayloadBytes(): number {
    return this.#connection.info?.max_payload ?? 1 << 20;
  }

  publish(subject: string, data: Uint8Array): void {
    if (this.#connection.isClosed()) return;
    this.#connection.publish(subject, data);
  }

  subscribe(subject: string, handler: (message: BusMessage) => void): Disposable {
    const subscription = this.#connection.subscribe(subject, {
      callback: (error, message) => {
        if (error !== null && error !== undefined) return;
        try {
          handler(busMessage(message));
        } catch (cause) {
          this.#onBadMessage(message.subject, cause);
        }
      },
    });
    return { [Symbol.dispose]: () => subscription.unsubscribe() };
  }

  async request(
    subject: string,
    data: Uint8Array,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<Uint8Array> {
    options.signal?.throwIfAborted();
    try {
      const answer = this.#connection.request(subject, data, { timeout: options.timeoutMs });
      return (await withSignal(answer, options.signal)).data;
    } catch (error) {
      throw errorFromNats(error, subject);
    }
  }

  async flush(): Promise<void> {
    await this.#connection.flush();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#connection.isClosed()) return;
    // drain() waits for the server; a server that is gone must not keep the process.
    await Promise.race([this.#connection.drain().catch(() => {}), this.#connection.closed()]);
    await this.#connection.close();
  }
}

function busMessage(message: Msg): BusMessage {
  return {
    subject: message.subject,
    data: message.data,
    respond: (data) => void message.respond(data),
  };
}

function errorFromNats(error: unknown, subject: string): unknown {
  if (error instanceof RequestError && error.isNoResponders()) {
    return new BuildError(Code.Unavailable, `no responder on "${subject}"`, { cause: error, infrastructure: true });
  }
  if (error instanceof TimeoutError || (error instanceof RequestError && error.cause instanceof TimeoutError)) {
    return new BuildError(Code.DeadlineExceeded, `no answer on "${subject}" in time`, {
      cause: error,
      infrastructure: true,
    });
  }
  if (error instanceof Error && error.name === "AbortError") return error;
  if (error instanceof BuildError) return error;
  return new BuildError(Code.Unavailable, `bus request on "${subject}" failed: ${String(error)}`, {
    cause: error,
    infrastructure: true,
  });
}
