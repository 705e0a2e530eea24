import { createHash } from "node:crypto";
import { Solve } from "../../api/gen/errdefs.ts";
import { BuildError, type ErrorDetail } from "../../core/errors/build-error.ts";
import { findCause } from "../../core/errors/step-failed-error.ts";
import type { BridgeRef } from "../../core/seams/llb-bridge.ts";
import type { Ref } from "../../core/values/layer.ts";
import type { LlbPayload } from "../../llb/definition/index.ts";
import { protoJson } from "../../util/proto-json.ts";
import { SolveError } from "../failures/solve-error.ts";

/** Of a ref: all that a container needs. */
export type MountableRef = Pick<BridgeRef, "evaluate">;

/** Refs of failed steps by the ids that a frontend was told of in its errors (BuildKit frontend/gateway/gateway.go wrapSolveError). */
export class FailureRefs {
  readonly #refs = new Map<string, MountableRef>();

  /** The error with a `Solve` detail, as all errors of a solve have one. Its ids are known here from now on. */
  tell(error: unknown): BuildError {
    const failure = findCause(error, SolveError);
    const detail = failure === undefined ? solveDetail({}) : this.#detail(failure);
    return BuildError.from(error).wrap("", [detail]);
  }

  find(id: string): MountableRef | undefined {
    return this.#refs.get(id);
  }

  clear(): void {
    this.#refs.clear();
  }

  #detail({ vertex, inputs, results, subject }: SolveError): ErrorDetail {
    return solveDetail({
      op: (vertex.payload as LlbPayload).op,
      description: vertex.options.description,
      inputIDs: inputs.map((ref) => this.#register(ref)),
      mountIDs: results.map((ref) => this.#register(ref)),
      ...(subject && { subject: { $case: subject.kind, value: { index: subject.index } } }),
    });
  }

  #register(ref: Ref | undefined): string {
    if (ref === undefined) return "";
    const id = createHash("sha256").update(ref.layers.join("\0")).digest("hex");
    this.#refs.set(id, { evaluate: async () => ref });
    return id;
  }
}

function solveDetail(solve: Parameters<typeof Solve.fromPartial>[0]): ErrorDetail {
  const message = Solve.encode(Solve.fromPartial(solve)).finish();
  return {
    typeUrl: "github.com/moby/buildkit/errdefs.Solve+json",
    value: Buffer.from(JSON.stringify(protoJson("errdefs.Solve", message))),
  };
}
