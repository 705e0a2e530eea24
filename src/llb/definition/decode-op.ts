import { Op } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";

/** @throws BuildError `failed to parse llb proto op: …` */
export function decodeOp(bytes: Uint8Array): Op {
  try {
    return Op.decode(bytes);
  } catch (error) {
    throw protoError(error).wrap("failed to parse llb proto op");
  }
}

/** Bytes that are no protobuf message, named as Go's decoder does: `proto: illegal wireType 6`. */
export function protoError(cause: unknown): BuildError {
  const message = cause instanceof Error ? cause.message : String(cause);
  const wireType = /^cant skip wire type (\d+)$/.exec(message)?.[1];
  return new BuildError(Code.Unknown, `proto: ${wireType === undefined ? message : `illegal wireType ${wireType}`}`, {
    cause,
  });
}
