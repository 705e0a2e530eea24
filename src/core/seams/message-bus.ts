/**
 * Commands, results, progress and small state between processes. Never layers, never secrets (ADR in docs/adr).
 * Subjects are dot-separated as in NATS; a subscription may end in `>` or use `*` for one part.
 * Payloads are bytes (msgpackr at the callers), at most `maxPayloadBytes`.
 */
export interface MessageBus extends AsyncDisposable {
  readonly maxPayloadBytes: number;
  publish(subject: string, data: Uint8Array): void;
  /** Delivers in order of arrival. The handler must not throw. Disposing ends the subscription. */
  subscribe(subject: string, handler: (message: BusMessage) => void): Disposable;
  /**
   * Sends one message and waits for one answer.
   * @throws BuildError Unavailable when nobody listens, DeadlineExceeded after `timeoutMs`
   */
  request(
    subject: string,
    data: Uint8Array,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<Uint8Array>;
  /** Resolves when everything published so far has left this process. */
  flush(): Promise<void>;
}

export interface BusMessage {
  readonly subject: string;
  readonly data: Uint8Array;
  /** Answers a request; does nothing for a plain publish. */
  respond(data: Uint8Array): void;
}
