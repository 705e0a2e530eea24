import type { Definition } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { Op, OpContext, OpResolver, Vertex } from "../../core/seams/op.ts";
import type { StepWork, TaskDispatcher } from "../../core/seams/task-dispatcher.ts";
import type { CacheMountUse } from "../../core/values/cache-mount.ts";
import type { CdiDevice } from "../../core/values/cdi-device.ts";
import type { LayerInfo, Ref } from "../../core/values/layer.ts";
import type { LlbPayload } from "../../llb/definition/index.ts";
import type { ImageResolver } from "../../source/index.ts";
import { BuildOp } from "./build-op.ts";
import { DiffOp } from "./diff-op.ts";
import { ExecOp } from "./exec-op.ts";
import { FileOp } from "./file-op.ts";
import { ImageSourceOp } from "./image-source-op.ts";
import { MergeOp } from "./merge-op.ts";
import { PassthroughOp } from "./passthrough-op.ts";
import { RemoteSourceOp } from "./remote-source-op.ts";
import type { ResolvedSources } from "./resolved-sources.ts";

/** What ops need of the coordinator. */
export interface OpDependencies {
  readonly dispatcher: TaskDispatcher;
  readonly images: ImageResolver;
  readonly resolvedSources: ResolvedSources;
  /** Makes layers known to the fleet; durable when it resolves. */
  readonly recordLayers: (layers: readonly LayerInfo[]) => Promise<void>;
  /** Lets cache mounts start anew in the whole fleet, those left out that a build of the sessions has used already. */
  readonly forgetCacheMounts: (uses: readonly CacheMountUse[], sessionIds: readonly string[]) => Promise<void>;
  /** Solves a nested definition as part of a vertex. */
  readonly solveNested: (parent: Vertex, definition: Definition, context: OpContext) => Promise<Ref>;
  /** What the scheduler should know of a step. */
  readonly work: (vertex: Vertex) => StepWork;
  /** Devices of each agent. */
  readonly devices: () => readonly (readonly CdiDevice[])[];
  /** Entitlements granted to every build that wants the vertex. */
  readonly entitlements: (vertex: Vertex) => readonly string[];
}

/** Turns LLB vertices into ops that run as tasks of the fleet. */
export class FleetOps implements OpResolver<Ref> {
  readonly #dependencies: OpDependencies;

  constructor(dependencies: OpDependencies) {
    this.#dependencies = dependencies;
  }

  resolve(vertex: Vertex): Op<Ref> {
    const payload = vertex.payload as LlbPayload;
    const { op } = payload.op;
    switch (op?.$case) {
      case "exec":
        return new ExecOp(vertex, payload, op.value, this.#dependencies);
      case "file":
        return new FileOp(vertex, payload, this.#dependencies);
      case "merge":
        return new MergeOp(payload, op.value);
      case "diff":
        return new DiffOp(vertex, payload, op.value, this.#dependencies);
      case "build":
        return new BuildOp(vertex, payload, op.value, this.#dependencies);
      case "passthrough":
        return new PassthroughOp(payload, op.value);
      case "source":
        return isImage(op.value.identifier)
          ? new ImageSourceOp(payload, op.value, this.#dependencies)
          : new RemoteSourceOp(vertex, payload, op.value, this.#dependencies);
      default:
        throw new BuildError(Code.Unknown, "no support for <nil>");
    }
  }
}

function isImage(identifier: string): boolean {
  return /^(docker-image|oci-layout):\/\//.test(identifier);
}
