import { readFile } from "node:fs/promises";
import type { NatsConnection } from "@nats-io/nats-core";
import { connect, credsAuthenticator, type NodeConnectionOptions } from "@nats-io/transport-node";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";

/** How to reach NATS; paths are of PEM and `.creds` files. */
export interface NatsAddress {
  readonly urls: readonly string[];
  readonly credentialsFile?: string;
  readonly token?: string;
  readonly user?: string;
  readonly password?: string;
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string };
}

/**
 * A connection that outlives restarts of NATS: it reconnects for ever; requests made meanwhile fail and are repeated by
 * their callers.
 * @throws BuildError Unavailable when NATS cannot be reached at the start
 */
export async function connectNats(address: NatsAddress, name: string): Promise<NatsConnection> {
  const { urls, credentialsFile, token, user, password, tls } = address;
  const options: NodeConnectionOptions = {
    servers: [...urls],
    name,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    pingInterval: 5000,
    maxPingOut: 2,
    ...(token === undefined ? {} : { token }),
    ...(user === undefined ? {} : { user }),
    ...(password === undefined ? {} : { pass: password }),
    ...(credentialsFile === undefined ? {} : { authenticator: credsAuthenticator(await readFile(credentialsFile)) }),
    ...(tls === undefined
      ? {}
      : {
          tls: {
            ...(tls.ca === undefined ? {} : { caFile: tls.ca }),
            ...(tls.cert === undefined ? {} : { certFile: tls.cert }),
            ...(tls.key === undefined ? {} : { keyFile: tls.key }),
          },
        }),
  };
  try {
    return await connect(options);
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause);
    throw new BuildError(Code.Unavailable, `cannot connect to NATS at ${urls.join(", ")}: ${text}`, { cause });
  }
}
