import type { Definition } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { decodeOp } from "./decode-op.ts";

/**
 * Loading takes the first input of the last op and looks no further. A build that leaves a record must say what it was made
 * of, and for that the last op may be nothing but a pointer (BuildKit solver/llbsolver/provenance/buildconfig.go).
 * @throws BuildError Internal
 */
export function checkTerminal(definition: Definition): void {
  const last = definition.def.at(-1);
  if (last === undefined) return;
  const { op, inputs } = decodeOp(last);
  if (op !== undefined) {
    throw new BuildError(
      Code.Internal,
      `invalid last vertex: *pb.Op_${op.$case[0]?.toUpperCase()}${op.$case.slice(1)}`,
    );
  }
  if (inputs.length !== 1) throw new BuildError(Code.Internal, `invalid last vertex inputs: ${inputs.length}`);
}
