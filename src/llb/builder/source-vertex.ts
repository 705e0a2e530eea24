import { Op } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { sha256 } from "../../core/values/digest.ts";
import type { Platform } from "../../core/values/platform.ts";
import type { MarshalContext, MarshalledVertex, Output, Vertex } from "./vertex.ts";
import { baseOp, sortKeys, type VertexOptions, vertexMetadata } from "./vertex-options.ts";

/** SourceOp; it is its own single output (BuildKit client/llb/source.go). */
export class SourceVertex implements Vertex, Output {
  readonly identifier: string;
  readonly attrs: Readonly<Record<string, string>>;
  readonly platform?: Platform;
  readonly #options: VertexOptions;
  readonly #caps: readonly string[];

  constructor(
    identifier: string,
    attrs: Readonly<Record<string, string>>,
    options: VertexOptions,
    caps: readonly string[],
  ) {
    if (identifier === "") throw new BuildError(Code.InvalidArgument, "source identifier can't be empty");
    this.identifier = identifier;
    this.attrs = attrs;
    if (options.platform !== undefined) this.platform = options.platform;
    this.#options = options;
    this.#caps = caps;
  }

  vertex(): Vertex {
    return this;
  }

  index(): number {
    return 0;
  }

  inputs(): readonly Output[] {
    return [];
  }

  marshal(context: MarshalContext): MarshalledVertex {
    const anonymous = this.identifier.startsWith("local://") && this.attrs["local.session"] === undefined;
    const attrs = anonymous ? { ...this.attrs, "local.unique": context.localUniqueId } : this.attrs;
    const caps = anonymous ? [...this.#caps, "source.local.unique"] : this.#caps;
    const op = baseOp(context, this.#options, /^(docker-image|oci-layout):\/\//.test(this.identifier));
    op.op = { $case: "source", value: { identifier: this.identifier, attrs: sortKeys(attrs) } };
    const bytes = Op.encode(op).finish();
    return {
      digest: sha256(bytes),
      bytes,
      metadata: vertexMetadata(this.#options, caps),
      locations: this.#options.locations ?? [],
    };
  }
}
