import { readFile } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import { connectGrpc, GrpcClient } from "../grpc/index.ts";
import { dialProgram, runDialProgram } from "./dial-program.ts";

/** Where a daemon listens, and how to reach it. */
export interface DaemonAddress {
  /**
   * `unix:///path`, `tcp://host:port`, or one that a program connects to (`dialProgram`); several with commas between them: the
   * first that answers is used.
   */
  readonly address: string;
  /** PEM files; any of them turns TLS on. */
  readonly tls?: {
    readonly ca?: string;
    readonly cert?: string;
    readonly key?: string;
    /** Name the daemon's certificate must carry; default: the host of the address. */
    readonly serverName?: string;
  };
  /** How long connecting to one address may take; 0 = as long as the system allows. */
  readonly timeoutMs: number;
  /** Tries again for that long when nobody answers. */
  readonly wait?: boolean;
}

const waitBetweenMs = 1000;

/**
 * Connects to a daemon; the caller owns the connection.
 * @throws BuildError InvalidArgument for addresses nobody can dial, Unavailable when nobody answers
 */
export async function connectDaemon(daemon: DaemonAddress, signal?: AbortSignal): Promise<GrpcClient> {
  const until = daemon.timeoutMs > 0 ? performance.now() + daemon.timeoutMs : Number.POSITIVE_INFINITY;
  for (;;) {
    try {
      return await connectFirst(daemon, signal);
    } catch (error) {
      const unavailable = error instanceof BuildError && error.code === Code.Unavailable;
      if (!daemon.wait || !unavailable || performance.now() + waitBetweenMs > until) throw error;
      await setTimeout(waitBetweenMs, undefined, signal === undefined ? {} : { signal });
    }
  }
}

async function connectFirst(daemon: DaemonAddress, signal?: AbortSignal): Promise<GrpcClient> {
  const failures: BuildError[] = [];
  for (const address of daemon.address.split(/,(?=[a-z][a-z0-9+.-]*:)/)) {
    try {
      return await connectOne({ ...daemon, address }, signal);
    } catch (thrown) {
      const error = BuildError.from(thrown);
      if (signal?.aborted || error.code === Code.InvalidArgument) throw error;
      failures.push(error);
    }
  }
  const [first, ...others] = failures as [BuildError, ...BuildError[]];
  if (others.length === 0) throw first;
  throw new BuildError(Code.Unavailable, failures.map(({ message }) => message).join("; "), { cause: first });
}

async function connectOne(daemon: DaemonAddress, signal?: AbortSignal): Promise<GrpcClient> {
  const scheme = schemeOf(daemon.address);
  const tls = daemon.tls === undefined || scheme !== "tcp" ? undefined : await readTls(daemon.tls);
  const limit = daemon.timeoutMs > 0 ? AbortSignal.timeout(daemon.timeoutMs) : undefined;
  const signals = [signal, limit].filter((item) => item !== undefined);
  let client: GrpcClient | undefined;
  try {
    const program = dialProgram(daemon.address);
    client =
      program === undefined
        ? await connectGrpc(daemon.address, {
            ...(tls === undefined ? {} : { tls }),
            ...(signals.length === 0 ? {} : { signal: AbortSignal.any(signals) }),
          })
        : new GrpcClient(runDialProgram(program));
    await answered(client, signals);
    return client;
  } catch (error) {
    client?.destroy();
    if (signal?.aborted) throw BuildError.from(signal.reason);
    if (limit?.aborted) {
      throw new BuildError(
        Code.DeadlineExceeded,
        `${daemon.address} did not answer within ${daemon.timeoutMs / 1000} seconds`,
      );
    }
    throw explained(error, daemon.address);
  }
}

/** The usual mistakes, named. */
function explained(error: unknown, address: string): unknown {
  const code = error instanceof BuildError ? (error.cause as NodeJS.ErrnoException | undefined)?.code : undefined;
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: "no such socket",
    ECONNREFUSED: "connection refused",
    EACCES: "permission denied",
    ENOTFOUND: "no such host",
  };
  const reason = reasons[code ?? ""];
  if (reason === undefined) return error;
  return new BuildError(Code.Unavailable, `cannot connect to ${address}: ${reason}; is the daemon running there?`, {
    cause: error,
    infrastructure: true,
  });
}

/** A peer that takes the connection but speaks no HTTP/2 must not keep us waiting. */
async function answered(client: GrpcClient, signals: readonly AbortSignal[]): Promise<void> {
  if (signals.length === 0) return client.ready;
  const signal = AbortSignal.any([...signals]);
  const aborted = new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  aborted.catch(() => {});
  await Promise.race([client.ready, aborted]);
}

function schemeOf(address: string): string {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//.exec(address)?.[1];
  if (scheme === undefined || !URL.canParse(address)) {
    throw new BuildError(
      Code.InvalidArgument,
      `${JSON.stringify(address)} is no daemon address: expected unix:///path or tcp://host:port`,
    );
  }
  if (scheme === "unix" || scheme === "tcp" || dialProgram(address) !== undefined) return scheme;
  throw new BuildError(Code.InvalidArgument, `unknown address scheme "${scheme}://": expected ${schemes}`);
}

const schemes = "unix, tcp, docker-container, podman-container, nerdctl-container, kube-pod or ssh";

async function readTls(files: NonNullable<DaemonAddress["tls"]>) {
  if ((files.cert === undefined) !== (files.key === undefined)) {
    throw new BuildError(Code.InvalidArgument, "a client certificate needs both its certificate and its key");
  }
  return {
    ...(files.ca === undefined ? {} : { ca: await readFile(files.ca) }),
    ...(files.cert === undefined ? {} : { cert: await readFile(files.cert) }),
    ...(files.key === undefined ? {} : { key: await readFile(files.key) }),
    ...(files.serverName === undefined ? {} : { serverName: files.serverName }),
  };
}
