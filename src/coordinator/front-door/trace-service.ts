import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { GrpcServer } from "../../grpc/index.ts";

/** Takes a client's spans as an encoded ExportTraceServiceRequest. */
export type TraceSink = (request: Uint8Array, signal: AbortSignal) => Promise<void>;

/** Registers the OTLP trace service that clients send their spans to. */
export function serveTraces(server: GrpcServer, sink: TraceSink | undefined): void {
  server.handle("/opentelemetry.proto.collector.trace.v1.TraceService/Export", async (call) => {
    if (sink === undefined) throw new BuildError(Code.Unavailable, "trace collector not configured");
    for await (const request of call.messages) {
      await sink(request, call.signal);
      await call.send(new Uint8Array(0));
      return;
    }
  });
}
