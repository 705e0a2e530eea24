import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { Clock } from "../core/seams/clock.ts";
import type { GrpcClient } from "../grpc/index.ts";
import { steadyClock } from "../util/system-clock.ts";

export interface ReconnectOptions {
  /** Makes a new connection; it is disposed of here. */
  readonly connect: (signal: AbortSignal) => Promise<GrpcClient>;
  readonly signal: AbortSignal;
  /** Told in a line what goes on. */
  readonly onNotice: (text: string) => void;
  /** Errors over which to go on besides a lost connection; default none. */
  readonly passes?: (error: unknown) => boolean;
  readonly clock?: Clock;
}

/** How often a connection may be lost, or a daemon hold on to the request before it. */
const maxLosses = 20;
/** How long to look for a daemon after each loss: a coordinator that starts again is there within seconds. */
const patienceMs = 120_000;
const firstDelayMs = 500;
const longestDelayMs = 5000;
/** A host that is gone closes nothing; its silence for two of these is a loss. */
const pingIntervalMs = 15_000;

/**
 * Does something over a connection to a daemon, and does it again over a new one when the connection is lost: with the same
 * daemon, or with another that `connect` finds. The first connection must be had at once.
 * @throws BuildError what `use` has failed with, unless that was a lost connection; Unavailable when there is no new one
 */
export async function withReconnects<T>(
  options: ReconnectOptions,
  use: (client: GrpcClient) => Promise<T>,
): Promise<T> {
  const { signal, onNotice, passes = () => false } = options;
  let client = await options.connect(signal);
  for (let losses = 1; ; losses++) {
    let loss: BuildError;
    try {
      await using connection = client;
      using _watch = watch(connection);
      return await use(connection);
    } catch (error) {
      if (signal.aborted || losses > maxLosses || !(isLostConnection(error) || passes(error))) throw error;
      loss = BuildError.from(error);
    }
    onNotice(`${reason(loss)}; connecting again`);
    client = await reconnect(loss, losses, options);
    onNotice("connected again");
  }
}

/** The transport itself has failed: nothing that a daemon answers looks like this. */
export function isLostConnection(error: unknown): boolean {
  return error instanceof BuildError && error.infrastructure && error.code === Code.Unavailable;
}

/** Without what the error was wrapped in: nothing has failed yet. */
function reason(error: BuildError): string {
  return error.cause instanceof BuildError ? reason(error.cause) : error.message;
}

async function reconnect(loss: BuildError, losses: number, options: ReconnectOptions): Promise<GrpcClient> {
  const { connect, signal, clock = steadyClock } = options;
  const deadline = clock.now() + patienceMs;
  for (let tries = losses; ; tries++) {
    const delay = Math.min(firstDelayMs * 2 ** (tries - 1), longestDelayMs);
    // All clients of a coordinator lose it at the same moment.
    await clock.sleep(delay * (0.5 + Math.random() / 2), signal);
    try {
      return await connect(signal);
    } catch (error) {
      const { code, message } = BuildError.from(error);
      const mayPass = code === Code.Unavailable || code === Code.DeadlineExceeded;
      if (signal.aborted || !mayPass) throw error;
      if (clock.now() >= deadline) {
        throw loss.final().wrap(`gave up after ${patienceMs / 1000} seconds (${message})`);
      }
    }
  }
}

function watch(client: GrpcClient): Disposable {
  const ping = () => {
    client.ping(AbortSignal.timeout(pingIntervalMs)).catch(() => {
      const silence = `the daemon has not answered for ${(2 * pingIntervalMs) / 1000} seconds`;
      client.destroy(new BuildError(Code.Unavailable, silence, { infrastructure: true }));
    });
  };
  const timer = setInterval(ping, pingIntervalMs);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
