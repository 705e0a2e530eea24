import type { Duplex } from "node:stream";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { Clock } from "../core/seams/clock.ts";
import type { Logger } from "../core/seams/logger.ts";
import type { SessionCaller } from "../core/seams/session-caller.ts";
import { GrpcClient } from "../grpc/index.ts";
import { withSignal } from "../util/abort.ts";
import { steadyClock } from "../util/system-clock.ts";
import { sessionIdentity } from "./session-headers.ts";
import { watchHealth } from "./session-health.ts";
import { TunnelSessionCaller } from "./tunnel-session-caller.ts";

/** How long a look-up waits for a client that has announced itself but not arrived yet. */
const lookupTimeoutMs = 5000;

export interface SessionManagerOptions {
  readonly logger: Logger;
  readonly clock?: Clock;
}

/** The client sessions connected to this process, by id (BuildKit session/manager.go). */
export class SessionManager {
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #sessions = new Map<string, TunnelSessionCaller>();
  readonly #waiters = new Map<string, Set<() => void>>();

  constructor(options: SessionManagerOptions) {
    this.#logger = options.logger;
    this.#clock = options.clock ?? steadyClock;
  }

  /** Ids of live sessions. */
  get ids(): readonly string[] {
    return [...this.#sessions.keys()];
  }

  /**
   * Serves one tunnel and owns it: the client at its other end becomes reachable as a session until the tunnel closes, the
   * client stops answering, or `signal` aborts. All calls open then fail as Unavailable.
   *
   * A second tunnel with a live id takes the id over: that is a client which reconnects before we noticed that it was gone.
   * The first keeps its open calls.
   * @param metadata of the call that carries the tunnel
   * @throws BuildError InvalidArgument for metadata without an id, Unavailable when the client never speaks HTTP/2
   */
  async serve(
    tunnel: Duplex,
    metadata: Readonly<Record<string, readonly string[]>>,
    signal: AbortSignal,
  ): Promise<void> {
    const identity = sessionIdentity(metadata);
    const logger = this.#logger.child({ session: identity.id });
    const client = new GrpcClient(tunnel);
    const caller = new TunnelSessionCaller(identity, client);
    const ended = new AbortController();
    const onAbort = () => caller.close(gone(identity.id));
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      await withSignal(client.ready, signal);
      this.#sessions.set(identity.id, caller);
      this.#announce(identity.id);
      logger.debug("session started", { methods: [...identity.methods] });
      void watchHealth(
        {
          clock: this.#clock,
          policy: identity.health,
          check: (stop) => caller.checkHealth(stop),
          onFailedCheck: (error) => logger.warn("session health check failed", { error: error.message }),
        },
        ended.signal,
      ).then((dead) => {
        if (dead === undefined) return;
        logger.warn("session is dead", { error: dead.message });
        caller.close(dead);
      });
      await client.closed;
      logger.debug("session finished");
    } finally {
      signal.removeEventListener("abort", onAbort);
      ended.abort();
      if (this.#sessions.get(identity.id) === caller) this.#sessions.delete(identity.id);
      caller.close(gone(identity.id));
      tunnel.destroy();
    }
  }

  /**
   * The session with that id; waits five seconds for it to connect. What stands before the first colon of an id is a mark
   * that keeps vertices of equal content apart and is not part of the id.
   * @throws BuildError NotFound `no active session for <id>: context deadline exceeded`
   */
  async get(id: string, options: { readonly signal?: AbortSignal } = {}): Promise<SessionCaller> {
    const name = /^[^:]*:(.+)$/s.exec(id)?.[1] ?? id;
    const known = this.#sessions.get(name);
    if (known !== undefined) return known;
    const over = new AbortController();
    const stop = options.signal === undefined ? over.signal : AbortSignal.any([over.signal, options.signal]);
    let timedOut = false;
    const timeout = this.#clock.sleep(lookupTimeoutMs, stop).then(
      () => {
        timedOut = true;
      },
      () => {},
    );
    try {
      for (;;) {
        await Promise.race([this.#appearance(name, stop), timeout]);
        const caller = this.#sessions.get(name);
        if (caller !== undefined) return caller;
        options.signal?.throwIfAborted();
        if (timedOut) {
          throw new BuildError(Code.NotFound, `no active session for ${name}: context deadline exceeded`);
        }
      }
    } finally {
      over.abort();
    }
  }

  /** Ends all sessions. */
  close(): void {
    for (const caller of this.#sessions.values()) caller.close(gone(caller.id));
  }

  #announce(id: string): void {
    const waiters = this.#waiters.get(id);
    this.#waiters.delete(id);
    for (const wake of waiters ?? []) wake();
  }

  /** Resolves when a session of that id arrives, or with the signal. */
  #appearance(id: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const waiters = this.#waiters.get(id) ?? new Set();
      this.#waiters.set(id, waiters);
      const wake = () => {
        waiters.delete(wake);
        if (waiters.size === 0 && this.#waiters.get(id) === waiters) this.#waiters.delete(id);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      waiters.add(wake);
      signal.addEventListener("abort", wake, { once: true });
    });
  }
}

function gone(id: string): BuildError {
  return new BuildError(Code.Unavailable, `session ${id} is gone`);
}
