import type { SessionCaller, SessionCallOptions, SessionGroup, SessionStream } from "../core/seams/session-caller.ts";
import { type Span, startSpan } from "../telemetry/index.ts";

/**
 * Spans for calls into clients. The call carries its span on as `traceparent`: to the coordinator, which continues the trace
 * from there when it passes the call on, and to the client.
 */
export class TracingSessionGroup implements SessionGroup {
  readonly #inner: SessionGroup;

  private constructor(inner: SessionGroup) {
    this.#inner = inner;
  }

  /** Once is enough, where coordinator and agent share a process. */
  static of(group: SessionGroup): SessionGroup {
    return group instanceof TracingSessionGroup ? group : new TracingSessionGroup(group);
  }

  get ids(): readonly string[] {
    return this.#inner.ids;
  }

  async get(id: string, options?: { readonly signal?: AbortSignal }): Promise<SessionCaller> {
    return new TracingSessionCaller(await this.#inner.get(id, options));
  }

  any<T>(use: (caller: SessionCaller) => Promise<T>, options?: { readonly signal?: AbortSignal }): Promise<T> {
    return this.#inner.any((caller) => use(new TracingSessionCaller(caller)), options);
  }
}

class TracingSessionCaller implements SessionCaller {
  readonly id: string;
  readonly sharedKey: string;
  readonly #inner: SessionCaller;

  constructor(inner: SessionCaller) {
    this.id = inner.id;
    this.sharedKey = inner.sharedKey;
    this.#inner = inner;
  }

  supports(method: string): boolean {
    return this.#inner.supports(method);
  }

  open(method: string, options: SessionCallOptions = {}): SessionStream {
    const name = method.replace(/^\//, "");
    const span = startSpan(name, {
      parent: options.metadata?.["traceparent"]?.[0],
      kind: "client",
      attributes: { "rpc.system": "grpc", "session.id": this.id },
    });
    if (span.traceparent === undefined) return this.#inner.open(method, options);
    try {
      const metadata = { ...options.metadata, traceparent: [span.traceparent] };
      return new TracingSessionStream(this.#inner.open(method, { ...options, metadata }), span);
    } catch (error) {
      span.end(error);
      throw error;
    }
  }
}

class TracingSessionStream implements SessionStream {
  readonly #inner: SessionStream;
  readonly #span: Span;

  constructor(inner: SessionStream, span: Span) {
    this.#inner = inner;
    this.#span = span;
  }

  send(message: Uint8Array): Promise<void> {
    return this.#inner.send(message);
  }

  closeSend(): void {
    this.#inner.closeSend();
  }

  get messages(): AsyncIterable<Uint8Array> {
    return this.#read();
  }

  cancel(reason?: Error): void {
    this.#inner.cancel(reason);
    this.#span.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#inner[Symbol.asyncDispose]();
    this.#span.end();
  }

  async *#read(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      yield* this.#inner.messages;
      this.#span.end();
    } catch (error) {
      this.#span.end(error);
      throw error;
    }
  }
}
