import { randomBytes } from "node:crypto";
import type { Logger } from "../../core/seams/logger.ts";
import { BytesDuplex, GrpcServer, serveHealth } from "../../grpc/index.ts";
import type { ControlClient } from "../control-client.ts";
import type { SessionService } from "./session-service.ts";

export interface ClientSessionOptions {
  readonly services: readonly SessionService[];
  readonly logger: Logger;
  /** Names the client's files across builds, so that a daemon can tell what changed since the last one. */
  readonly sharedKey?: string;
}

/** The client's end of `Control.Session` (map a7, b1): a gRPC server inside the call. Dispose ends it. */
export class ClientSession implements AsyncDisposable {
  readonly id = randomBytes(16).toString("hex");
  /** Rejects when the tunnel breaks; resolves when it has ended. */
  readonly closed: Promise<void>;
  readonly #server: GrpcServer;
  readonly #abort = new AbortController();

  constructor(control: ControlClient, options: ClientSessionOptions) {
    this.#server = new GrpcServer({ logger: options.logger, keepAliveIntervalMs: 0 });
    for (const service of options.services) service.register(this.#server);
    serveHealth(this.#server);
    const call = control.openSession(
      {
        "x-docker-expose-session-uuid": [this.id],
        "x-docker-expose-session-name": [""],
        "x-docker-expose-session-sharedkey": [options.sharedKey ?? ""],
        "x-docker-expose-session-grpc-method": this.#server.methods,
      },
      this.#abort.signal,
    );
    const tunnel = new BytesDuplex(call);
    let failure: Error | undefined;
    tunnel.on("error", (error: Error) => {
      failure = error;
    });
    this.closed = this.#server.serveDuplex(tunnel, { peer: { address: "daemon" } }).then(() => {
      call.cancel();
      if (failure !== undefined && !this.#abort.signal.aborted) throw failure;
    });
    this.closed.catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.close();
    this.#abort.abort();
    await this.closed.catch(() => {});
  }
}
