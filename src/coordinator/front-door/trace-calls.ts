import type { ServerCall, ServerHandler } from "../../grpc/index.ts";
import { inSpan } from "../../telemetry/index.ts";

/** Not traced: checks every few seconds, and the sending of spans itself (BuildKit util/tracing/grpcstats.go). */
const untraced = /\/(grpc\.health\.v1\.Health|opentelemetry\.[\w.]+|grpc\.reflection\.[\w.]+)\//;
/** Where a client that has no trace gets one. */
const solve = "/moby.buildkit.v1.Control/Solve";

/** Runs a handler in a span that continues the client's trace. */
export async function traceCall(call: ServerCall, handler: ServerHandler): Promise<void> {
  if (untraced.test(call.method)) return handler(call);
  const [, service = "", method = ""] = call.method.split("/");
  const attributes = { "rpc.system": "grpc", "rpc.service": service, "rpc.method": method };
  const options = { parent: call.traceparent, kind: "server", root: call.method === solve, attributes } as const;
  return inSpan(call.method.slice(1), options, () => handler(call));
}
