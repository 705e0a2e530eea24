import type { LlbBridge } from "../../core/seams/llb-bridge.ts";
import type { ProcessSpec } from "../../core/values/container-messages.ts";
import type { Platform } from "../../core/values/platform.ts";
import type { ContainerConfig } from "../dockerfile/image/index.ts";

/** Name by which frontends tell builders apart when they explain what a newer one could do (BuildKit util/apicaps). */
const product = "buildkit";

/** How a frontend image is run: its opts are in its environment, and its stdin and stdout carry gRPC (map j1). */
export function frontendProcess(
  config: ContainerConfig,
  opts: Readonly<Record<string, string>>,
  bridge: LlbBridge,
): ProcessSpec {
  return {
    args: config.entrypoint.length > 0 ? config.entrypoint : ["/run"],
    env: [
      ...config.env.entries,
      ...Object.entries(opts).map(([key, value], index) => `BUILDKIT_FRONTEND_OPT_${index}=${key}=${value}`),
      `BUILDKIT_SESSION_ID=${bridge.sessionIds[0] ?? ""}`,
      `BUILDKIT_WORKERS=${JSON.stringify(bridge.workers().map(workerJson))}`,
      `BUILDKIT_EXPORTEDPRODUCT=${product}`,
    ],
    cwd: config.workingDir === "" ? "/" : config.workingDir,
    user: "",
    secretEnv: [],
    tty: false,
    stdin: true,
    security: "sandbox",
    removeMountStubsRecursive: true,
  };
}

export function wantsNoNetwork({ labels }: ContainerConfig): boolean {
  return /^(1|t|T|TRUE|true|True)$/.test(labels.get("moby.buildkit.frontend.network.none") ?? "");
}

/** As Go's client.WorkerInfo is written (BuildKit client/workers.go). */
function workerJson({ id, labels, platforms }: ReturnType<LlbBridge["workers"]>[number]): object {
  return {
    id,
    labels,
    platforms: platforms.map(platformJson),
    gcPolicy: null,
    buildkitVersion: { package: "", version: "", revision: "", dockerfileVersion: "" },
    cdiDevices: null,
  };
}

function platformJson({ architecture, os, osVersion, osFeatures, variant }: Platform): object {
  return {
    architecture,
    os,
    ...(osVersion === "" ? {} : { "os.version": osVersion }),
    ...(osFeatures.length === 0 ? {} : { "os.features": osFeatures }),
    ...(variant === "" ? {} : { variant }),
  };
}
