import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import { type Environment, otlpHeaders, otlpTarget } from "./tracing-settings.ts";

/** Sends one encoded `ExportTraceServiceRequest`. @throws BuildError Unavailable when the collector does not take it */
export type TraceForwarder = (request: Uint8Array, signal: AbortSignal) => Promise<void>;

/** A collector that takes longer loses the client's spans rather than hold the client. */
const sendTimeoutMs = 10_000;
const exportMethod = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/**
 * Sends what clients export on to the OTLP endpoint of this process, so that a trace has its client's spans too.
 * @returns undefined unless spans go out as OTLP
 */
export function otlpForwarder(env: Environment): TraceForwarder | undefined {
  const target = otlpTarget(env);
  if (target === undefined) return undefined;
  const { protocol, url } = target;
  const headers = otlpHeaders(env);
  return protocol === "grpc"
    ? (request, signal) => sendGrpc(url, headers, request, signal)
    : (request, signal) => sendHttp(url, headers, request, signal);
}

async function sendHttp(
  url: URL,
  headers: Readonly<Record<string, string>>,
  request: Uint8Array,
  signal: AbortSignal,
): Promise<void> {
  let status: number;
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { ...headers, "content-type": "application/x-protobuf" },
      body: Uint8Array.from(request),
      signal: AbortSignal.any([signal, AbortSignal.timeout(sendTimeoutMs)]),
    });
    await response.arrayBuffer();
    status = response.status;
  } catch (cause) {
    signal.throwIfAborted();
    throw unavailable(`does not answer: ${String(cause)}`, cause);
  }
  if (status >= 300) throw unavailable(`answered ${status}`);
}

/** A connection per request: clients send one or two at the end of a build. */
async function sendGrpc(
  url: URL,
  headers: Readonly<Record<string, string>>,
  request: Uint8Array,
  signal: AbortSignal,
): Promise<void> {
  const { Client, credentials, Metadata } = (await import("@grpc/grpc-js")).default;
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  const secure = url.protocol === "https:";
  const address = `${url.hostname}:${url.port || (secure ? 443 : 4317)}`;
  const client = new Client(address, secure ? credentials.createSsl() : credentials.createInsecure());
  const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const options = { deadline: Date.now() + sendTimeoutMs };
  let cancel: (() => void) | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      const call = client.makeUnaryRequest(exportMethod, asBuffer, asBuffer, request, metadata, options, (error) =>
        error === null ? resolve() : reject(error),
      );
      cancel = () => call.cancel();
      signal.addEventListener("abort", cancel, { once: true });
    });
  } catch (cause) {
    signal.throwIfAborted();
    throw unavailable(`does not take spans: ${(cause as Error).message}`, cause);
  } finally {
    if (cancel !== undefined) signal.removeEventListener("abort", cancel);
    client.close();
  }
}

function unavailable(what: string, cause?: unknown): BuildError {
  return new BuildError(Code.Unavailable, `trace collector ${what}`, cause === undefined ? {} : { cause });
}
