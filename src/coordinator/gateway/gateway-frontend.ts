import { Definition, Mount, NetMode } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { Frontend } from "../../core/seams/frontend.ts";
import type { BridgeRef, FrontendResult, LlbBridge } from "../../core/seams/llb-bridge.ts";
import type { Logger } from "../../core/seams/logger.ts";
import {
  checkAllowedSource,
  type FrontendImage,
  frontendProcess,
  loadFrontendImage,
  missingCapability,
  wantsNoNetwork,
} from "../../frontend/gateway/index.ts";
import { GrpcServer, serveHealth } from "../../grpc/index.ts";
import { withSignal } from "../../util/abort.ts";
import { BridgeForwarder } from "../front-door/bridge-forwarder.ts";
import { serveBridge } from "../front-door/bridge-service.ts";
import { frontendCapabilities } from "../front-door/frontend-capabilities.ts";
import { LimitedLog } from "./limited-log.ts";
import { ProcessDuplex } from "./process-duplex.ts";

export interface GatewayFrontendOptions {
  readonly llbCapabilities: readonly string[];
  /** Repositories frontend images may come from; empty or absent: any. */
  readonly allowedRepositories?: readonly string[];
  readonly logger: Logger;
}

type Opts = Readonly<Record<string, string>>;
type Inputs = Readonly<Record<string, Definition>>;

/** How long a frontend may go on after it has closed its connection. */
const exitTimeoutMs = 10_000;

/**
 * `gateway.v0`: runs a frontend image in a container on an agent and serves it `LLBBridge` over its stdin and stdout (BuildKit
 * frontend/gateway/gateway.go).
 */
export class GatewayFrontend implements Frontend {
  readonly name = "gateway.v0";
  readonly #options: GatewayFrontendOptions;

  constructor(options: GatewayFrontendOptions) {
    this.#options = options;
  }

  async solve(bridge: LlbBridge, opts: Opts, inputs: Inputs, signal: AbortSignal): Promise<FrontendResult> {
    if (opts["gateway-devel"] !== undefined) {
      throw new BuildError(Code.Unknown, "development gateway is no longer supported");
    }
    const { source } = opts;
    if (source === undefined) throw new BuildError(Code.Unknown, "no source specified for gateway");
    checkAllowedSource(source, this.#options.allowedRepositories ?? []);
    const image = await loadFrontendImage(bridge, source, opts, inputs, signal);
    const { ref } = await bridge.solve({ definition: image.definition }, signal);
    if (ref === undefined) throw new BuildError(Code.Unknown, "gateway source didn't return default result");
    const missing = missingCapability(image, opts, Object.keys(inputs).length > 0);
    if (missing !== undefined) throw missing;
    return this.#run(bridge, { image, ref, opts, inputs, source }, signal);
  }

  async #run(bridge: LlbBridge, run: FrontendRun, signal: AbortSignal): Promise<FrontendResult> {
    const { llbCapabilities, logger } = this.#options;
    const forwarder = new BridgeForwarder({ bridge, inputs: run.inputs, frontendCapabilities, llbCapabilities });
    const server = new GrpcServer({ logger: logger.child({ frontend: run.source }), keepAliveIntervalMs: 0 });
    serveHealth(server);
    serveBridge(server, async () => forwarder);
    try {
      await this.#runProcess(bridge, run, forwarder, server, signal);
      if (!forwarder.returned) throw new BuildError(Code.Unknown, "no result for incomplete build");
      return await forwarder.result;
    } catch (error) {
      signal.throwIfAborted();
      // An error that the frontend returned says more than how it exited.
      if (forwarder.returned) await forwarder.result;
      throw BuildError.from(error).wrap(`frontend ${run.source} failed`);
    } finally {
      await forwarder.discard();
      await server.close();
    }
  }

  /** Until the process has exited with code 0. */
  async #runProcess(
    bridge: LlbBridge,
    { image, ref, opts, source }: FrontendRun,
    forwarder: BridgeForwarder,
    server: GrpcServer,
    signal: AbortSignal,
  ): Promise<void> {
    await using container = await bridge.newContainer(
      {
        mounts: [{ mount: Mount.fromPartial({ dest: "/" }), ref }],
        network: wantsNoNetwork(image.config) ? NetMode.NONE : NetMode.UNSET,
        files: [
          {
            directory: "/run/config/buildkit/metadata",
            name: "frontend.bin",
            data: Definition.encode(ref.definition).finish(),
          },
        ],
      },
      signal,
    );
    using log = new LimitedLog(bridge.log(`[frontend] ${source}`));
    const duplex = new ProcessDuplex();
    const process = container.start(
      frontendProcess(image.config, opts, bridge),
      duplex.io((data) => log.write(data)),
    );
    const exited = process.ended.finally(() => duplex.processEnded());
    exited.catch(() => {});
    const disconnected = server.serveDuplex(duplex).then(() => "disconnected" as const);
    const first = await withSignal(Promise.race([exited, disconnected]), signal);
    if (first === undefined) return;
    // Whoever has returned may close the connection before it exits.
    if (!forwarder.returned) throw new BuildError(Code.Unknown, "frontend grpc server closed unexpectedly");
    const patience = AbortSignal.any([signal, AbortSignal.timeout(exitTimeoutMs)]);
    await withSignal(exited, patience).catch((error: unknown) => {
      signal.throwIfAborted();
      if (!patience.aborted) throw error;
    });
  }
}

interface FrontendRun {
  readonly image: FrontendImage;
  readonly ref: BridgeRef;
  readonly source: string;
  readonly opts: Opts;
  readonly inputs: Inputs;
}
