/**
 * Calls into a build client. A client opens `Control.Session`; inside that byte tunnel the roles turn round and *we* are the
 * gRPC client (map a7, b1–b14). On the coordinator a caller talks to the tunnel directly; on an agent the same interface
 * goes through AgentLink. Messages are protobuf bytes: callers encode and decode with the generated codecs.
 */
export interface SessionCaller {
  readonly id: string;
  /** `X-Docker-Expose-Session-Sharedkey`: the client's own name for "the same working copy as last time"; may be empty. */
  readonly sharedKey: string;
  /** True when the client serves the method, e.g. `/moby.filesync.v1.FileSync/DiffCopy` (compared without case). */
  supports(method: string): boolean;
  /**
   * Opens one gRPC call of any shape (unary = one message each way).
   * @throws BuildError Unavailable when the session is gone
   */
  open(method: string, options?: SessionCallOptions): SessionStream;
}

export interface SessionCallOptions {
  /** Request metadata; a key may repeat. */
  readonly metadata?: Readonly<Record<string, readonly string[]>>;
  readonly signal?: AbortSignal;
}

/** One open call. Dispose (or `cancel`) on every path; both do nothing once the call has ended. */
export interface SessionStream extends AsyncDisposable {
  /** Resolves when the peer's window has room again. Rejects when the call has ended. */
  send(message: Uint8Array): Promise<void>;
  /** Half-close: no more messages from us. */
  closeSend(): void;
  /** Ends on status OK, throws a BuildError with the peer's code, message and details on any other. Iterate once. */
  readonly messages: AsyncIterable<Uint8Array>;
  cancel(reason?: Error): void;
}

/** The sessions of one build; a client of a shared vertex may be any of them. */
export interface SessionGroup {
  readonly ids: readonly string[];
  /**
   * The caller of one session; waits a few seconds for it to appear.
   * @throws BuildError NotFound `no active session for <id>: …`
   */
  get(id: string, options?: { readonly signal?: AbortSignal }): Promise<SessionCaller>;
  /**
   * Tries each live session until `use` succeeds.
   * @throws BuildError NotFound `no active sessions` when there is none; else the last error
   */
  any<T>(use: (caller: SessionCaller) => Promise<T>, options?: { readonly signal?: AbortSignal }): Promise<T>;
}
