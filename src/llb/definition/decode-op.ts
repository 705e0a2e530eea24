import { Op } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";

/** @throws BuildError `failed to parse llb proto op: …` */
export function decodeOp(bytes: Uint8Array): Op {
  try {
    return Op.decode(bytes);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const wireType = /^cant skip wire type (\d+)$/.exec(message)?.[1];
    const reason = wireType === undefined ? message : `illegal wireType ${wireType}`;
    throw new BuildError(Code.Unknown, `failed to parse llb proto op: proto: ${reason}`, { cause: error });
  }
}
