import { fileDescriptorSet } from "../../api/gen/descriptors.ts";
import type { BuildkitVersion } from "../../api/gen/worker.ts";
import type { Clock } from "../../core/seams/clock.ts";
import type { Logger } from "../../core/seams/logger.ts";
import { GrpcServer, serveHealth, serveReflection } from "../../grpc/index.ts";
import type { SessionManager } from "../../session/index.ts";
import { systemClock } from "../../util/system-clock.ts";
import type { BuildExplainer } from "../explain/index.ts";
import { bridgeBuildRef, serveBridge } from "./bridge-service.ts";
import type { BuildHistory } from "./build-history.ts";
import { BuildRegistry } from "./build-registry.ts";
import type { BuildService } from "./build-service.ts";
import { type ReadableContent, serveContent } from "./content-service.ts";
import { ControlService } from "./control-service.ts";
import { serveExplanations } from "./explain-service.ts";
import { traceCall } from "./trace-calls.ts";
import { serveTraces, type TraceSink } from "./trace-service.ts";

export interface FrontDoorOptions {
  readonly logger: Logger;
  readonly builds: BuildService;
  readonly sessions: SessionManager;
  /** `Info` and, for workers without their own, what clients show as the version. */
  readonly version: BuildkitVersion;
  /** LLB features that work (BuildKit solver/pb/caps.go). */
  readonly llbCapabilities: readonly string[];
  readonly history?: BuildHistory;
  readonly explainer?: Pick<BuildExplainer, "explain">;
  readonly traceSink?: TraceSink;
  /** Blobs named by history records; without it every blob is unknown. */
  readonly content?: ReadableContent;
  /** Longest message accepted; default 16 MiB. */
  readonly maxMessageBytes?: number;
  readonly clock?: Clock;
}

/**
 * The services that stock clients talk to, on one gRPC server. A listener hands it its connections (`listenGrpc`).
 * @returns the server; closing it ends running builds. A build opens new calls until it ends, so to drain, stop listening and
 * wait for the builds first
 */
export function createFrontDoor(options: FrontDoorOptions): GrpcServer {
  const server = new GrpcServer({
    logger: options.logger.child({ component: "front-door" }),
    intercept: traceCall,
    ...(options.maxMessageBytes === undefined ? {} : { maxMessageBytes: options.maxMessageBytes }),
  });
  const clock = options.clock ?? systemClock;
  const registry = new BuildRegistry(clock, server.stopped);
  const control = new ControlService({
    builds: options.builds,
    registry,
    sessions: options.sessions,
    version: options.version,
    llbCapabilities: options.llbCapabilities,
    clock,
    ...(options.history === undefined ? {} : { history: options.history }),
  });
  control.register(server);
  serveBridge(server, (call) => registry.bridge(bridgeBuildRef(call), call.signal));
  serveTraces(server, options.traceSink);
  serveContent(server, options.content);
  serveExplanations(server, options.explainer);
  serveHealth(server);
  serveReflection(server, fileDescriptorSet());
  return server;
}
