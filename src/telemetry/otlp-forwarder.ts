import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import { type Environment, otlpHeaders, otlpTracesUrl } from "./tracing-settings.ts";

/** A collector that takes longer loses the client's spans rather than hold the client. */
const postTimeoutMs = 10_000;

/**
 * Posts encoded `ExportTraceServiceRequest`s of clients to the OTLP endpoint of this process, so that a trace has its client's
 * spans too. @returns undefined unless spans go out as OTLP over HTTP
 */
export function otlpForwarder(
  env: Environment,
): ((request: Uint8Array, signal: AbortSignal) => Promise<void>) | undefined {
  const url = otlpTracesUrl(env);
  if (url === undefined) return undefined;
  const headers = { ...otlpHeaders(env), "content-type": "application/x-protobuf" };
  return async (request, signal) => {
    let status: number;
    try {
      const response = await fetch(url, {
        method: "POST",
        headers,
        body: Uint8Array.from(request),
        signal: AbortSignal.any([signal, AbortSignal.timeout(postTimeoutMs)]),
      });
      await response.arrayBuffer();
      status = response.status;
    } catch (cause) {
      signal.throwIfAborted();
      throw new BuildError(Code.Unavailable, `trace collector does not answer: ${String(cause)}`, { cause });
    }
    if (status >= 300) throw new BuildError(Code.Unavailable, `trace collector answered ${status}`);
  };
}
