import type { ConnectionOptions } from "node:tls";
import { RangeConnection, type RangeRequest } from "./range-connection.ts";

/** Kept for the next request; the server's own limit is longer. */
const idleMs = 20_000;

interface Idle {
  readonly connection: RangeConnection;
  readonly timer: NodeJS.Timeout;
}

export interface RangeClientOptions {
  readonly connectTimeoutMs: number;
  /** For `https:` peers. */
  readonly tls?: ConnectionOptions;
}

/** Connections to blob servers, as many as there are requests at a time; each is used again. */
export class RangeClient implements Disposable {
  readonly #options: RangeClientOptions;
  readonly #idle = new Map<string, Idle[]>();
  readonly #all = new Set<RangeConnection>();

  constructor(options: RangeClientOptions) {
    this.#options = options;
  }

  /** As `RangeConnection.send`. */
  async get(origin: string, request: RangeRequest, signal: AbortSignal): Promise<number> {
    for (;;) {
      const kept = this.#awake(origin);
      const connection = kept ?? this.#connect(origin);
      try {
        const bytes = await connection.send(request, this.#options.connectTimeoutMs, signal);
        this.#keep(origin, connection);
        return bytes;
      } catch (error) {
        this.#all.delete(connection);
        // The peer may have closed it just as it was used again.
        if (kept === undefined || connection.answered || signal.aborted) throw error;
      }
    }
  }

  [Symbol.dispose](): void {
    for (const connection of this.#all) connection.close();
    for (const { timer } of [...this.#idle.values()].flat()) clearTimeout(timer);
    this.#idle.clear();
  }

  #connect(origin: string): RangeConnection {
    const url = new URL(origin);
    const connection = new RangeConnection(url, url.protocol === "https:" ? (this.#options.tls ?? {}) : undefined);
    this.#all.add(connection);
    return connection;
  }

  #awake(origin: string): RangeConnection | undefined {
    const idle = this.#idle.get(origin) ?? [];
    for (let last = idle.pop(); last !== undefined; last = idle.pop()) {
      clearTimeout(last.timer);
      if (!last.connection.closed) return last.connection;
      this.#all.delete(last.connection);
    }
    return undefined;
  }

  #keep(origin: string, connection: RangeConnection): void {
    const idle = this.#idle.get(origin) ?? [];
    this.#idle.set(origin, idle);
    const timer = setTimeout(() => {
      connection.close();
      this.#all.delete(connection);
      idle.splice(
        idle.findIndex((one) => one.connection === connection),
        1,
      );
      if (idle.length === 0) this.#idle.delete(origin);
    }, idleMs);
    timer.unref();
    idle.push({ connection, timer });
  }
}
