import { Definition, type BuildOp as PbBuildOp } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { CacheMap, Op, OpContext, Vertex } from "../../core/seams/op.ts";
import type { Ref } from "../../core/values/layer.ts";
import { type LlbPayload, protoError } from "../../llb/definition/index.ts";
import type { OpDependencies } from "./fleet-ops.ts";
import { plainCacheMap } from "./op-cache-map.ts";
import { taskContext } from "./task-context.ts";

/** Input and file that hold a nested definition unless told otherwise (BuildKit solver/pb/const.go). */
const defaultName = "buildkit.llb.definition";
/** The builder is LLB itself. */
const llbBuilder = -1;

/** Reads a definition from one of its inputs and builds that (map c17). */
export class BuildOp implements Op<Ref> {
  readonly #vertex: Vertex;
  readonly #payload: LlbPayload;
  readonly #build: PbBuildOp;
  readonly #dependencies: OpDependencies;

  constructor(vertex: Vertex, payload: LlbPayload, build: PbBuildOp, dependencies: OpDependencies) {
    this.#vertex = vertex;
    this.#payload = payload;
    this.#build = build;
    this.#dependencies = dependencies;
  }

  async cacheMap(): Promise<{ readonly map: CacheMap<Ref>; readonly done: boolean }> {
    return { map: plainCacheMap(this.#payload), done: true };
  }

  async exec(inputs: readonly Ref[], context: OpContext): Promise<readonly Ref[]> {
    if (this.#build.builder !== llbBuilder) {
      throw new BuildError(Code.Unknown, "only LLB builder is currently allowed");
    }
    const index = this.#build.inputs[defaultName]?.input;
    if (index === undefined)
      throw new BuildError(Code.Unknown, "no llb definition input buildkit.llb.definition found");
    const ref = inputs[index];
    if (ref === undefined) throw new BuildError(Code.Unknown, `invalid index ${index}`);
    const path = this.#build.attrs["llbbuild.filename"] ?? defaultName;
    const data = await this.#read(ref, path, context);
    return [await this.#dependencies.solveNested(this.#vertex, decodeDefinition(data), context)];
  }

  async #read(ref: Ref, path: string, context: OpContext): Promise<Uint8Array> {
    const body = { op: "file" as const, ref, path, offset: 0, length: 0 };
    try {
      return (await this.#dependencies.dispatcher.run("read", body, taskContext(this.#vertex, context))).data;
    } catch (error) {
      throw BuildError.from(error).wrap(`failed to open ${path}`);
    }
  }
}

function decodeDefinition(data: Uint8Array): Definition {
  try {
    return Definition.decode(data);
  } catch (cause) {
    throw protoError(cause);
  }
}
