import { HealthCheckRequest, HealthCheckResponse, HealthCheckResponse_ServingStatus } from "../api/gen/health.ts";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { GrpcServer } from "./grpc-server.ts";
import { serverStream, unary } from "./handlers.ts";

/** Registers `grpc.health.v1.Health` (grpc/grpc, doc/health-checking.md): SERVING for "" and each service of the server. */
export function serveHealth(server: GrpcServer): void {
  const status = (service: string): HealthCheckResponse => {
    const known = service === "" || server.methods.some((method) => method.startsWith(`/${service}/`));
    return HealthCheckResponse.fromPartial({
      status: known ? HealthCheckResponse_ServingStatus.SERVING : HealthCheckResponse_ServingStatus.SERVICE_UNKNOWN,
    });
  };
  server.handle(
    "/grpc.health.v1.Health/Check",
    unary(HealthCheckRequest, HealthCheckResponse, (request) => {
      const answer = status(request.service);
      if (answer.status === HealthCheckResponse_ServingStatus.SERVICE_UNKNOWN) {
        throw new BuildError(Code.NotFound, "unknown service");
      }
      return answer;
    }),
  );
  server.handle(
    "/grpc.health.v1.Health/Watch",
    serverStream(HealthCheckRequest, HealthCheckResponse, async function* (request, call) {
      yield status(request.service);
      // The status does not change while the process lives; the stream stays open until the watcher leaves.
      await new Promise<void>((resolve) => call.signal.addEventListener("abort", () => resolve(), { once: true }));
    }),
  );
}
