import * as gateway from "../../api/gen/gateway.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { type GrpcServer, type MessageCodec, metadataValue, type ServerCall, unary } from "../../grpc/index.ts";
import type { BridgeForwarder } from "./bridge-forwarder.ts";

const service = "moby.buildkit.v1.frontend.LLBBridge";

/** Finds the build a bridge call belongs to; may wait for it. */
export type BridgeLookup = (call: ServerCall) => Promise<BridgeForwarder>;

/** Registers `LLBBridge`. */
export function serveBridge(server: GrpcServer, lookup: BridgeLookup): void {
  const find = async (name: string, call: ServerCall): Promise<BridgeForwarder> => {
    try {
      return await lookup(call);
    } catch (error) {
      throw BuildError.from(error).wrap(`forwarding ${name}`);
    }
  };
  const method = <Req, Res>(
    name: string,
    request: MessageCodec<Req>,
    response: MessageCodec<Res>,
    serve: (bridge: BridgeForwarder, message: Req, signal: AbortSignal) => Promise<Res> | Res,
  ) => {
    server.handle(
      `/${service}/${name}`,
      unary(request, response, async (message, call) => serve(await find(name, call), message, call.signal)),
    );
  };
  method("Ping", gateway.PingRequest, gateway.PongResponse, (bridge) => bridge.ping());
  method("Solve", gateway.SolveRequest, gateway.SolveResponse, (bridge, message, signal) =>
    bridge.solve(message, signal),
  );
  method("Evaluate", gateway.EvaluateRequest, gateway.EvaluateResponse, (bridge, message, signal) =>
    bridge.evaluate(message, signal),
  );
  method(
    "ResolveImageConfig",
    gateway.ResolveImageConfigRequest,
    gateway.ResolveImageConfigResponse,
    (bridge, message, signal) => bridge.resolveImageConfig(message, signal),
  );
  method(
    "ResolveSourceMeta",
    gateway.ResolveSourceMetaRequest,
    gateway.ResolveSourceMetaResponse,
    (bridge, message, signal) => bridge.resolveSourceMeta(message, signal),
  );
  method("ReadFile", gateway.ReadFileRequest, gateway.ReadFileResponse, (bridge, message, signal) =>
    bridge.readFile(message, signal),
  );
  method("ReadDir", gateway.ReadDirRequest, gateway.ReadDirResponse, (bridge, message, signal) =>
    bridge.readDir(message, signal),
  );
  method("StatFile", gateway.StatFileRequest, gateway.StatFileResponse, (bridge, message, signal) =>
    bridge.statFile(message, signal),
  );
  method("Inputs", gateway.InputsRequest, gateway.InputsResponse, (bridge) => bridge.inputs());
  method("Return", gateway.ReturnRequest, gateway.ReturnResponse, (bridge, message) => {
    bridge.return(message);
    return {};
  });
  method("Warn", gateway.WarnRequest, gateway.WarnResponse, (bridge, message) => {
    bridge.warn(message);
    return {};
  });
  method(
    "NewContainer",
    gateway.NewContainerRequest,
    gateway.NewContainerResponse,
    async ({ containers }, message, signal) => {
      await containers.create(message, signal);
      return {};
    },
  );
  method(
    "ReleaseContainer",
    gateway.ReleaseContainerRequest,
    gateway.ReleaseContainerResponse,
    async ({ containers }, message) => {
      await containers.release(message.ContainerID);
      return {};
    },
  );
  method("ReadFileContainer", gateway.ReadFileRequest, gateway.ReadFileResponse, ({ containers }, message, signal) =>
    containers.readFile(message, signal),
  );
  method("ReadDirContainer", gateway.ReadDirRequest, gateway.ReadDirResponse, ({ containers }, message, signal) =>
    containers.readDir(message, signal),
  );
  method("StatFileContainer", gateway.StatFileRequest, gateway.StatFileResponse, ({ containers }, message, signal) =>
    containers.statFile(message, signal),
  );
  server.handle(`/${service}/ExecProcess`, async (call) => {
    const { containers } = await find("ExecProcess", call);
    call.sendHeaders();
    await containers.exec(call);
  });
}

/** Ref of the build in a bridge call's metadata (BuildKit client/buildid). @throws BuildError Unknown when missing */
export function bridgeBuildRef(call: ServerCall): string {
  const ref = metadataValue(call.metadata, "buildkit-controlapi-buildid") ?? "";
  if (ref === "") throw new BuildError(Code.Unknown, "no buildid found in context");
  return ref;
}
