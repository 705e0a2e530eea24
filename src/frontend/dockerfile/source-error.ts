import type { Range, SourceInfo } from "../../api/gen/ops.ts";
import type { BuildError } from "../../core/errors/build-error.ts";

/** The error with an `errdefs.Source` detail which makes clients print the lines of the file. */
export function withSource(_error: unknown, _source: SourceInfo, _ranges: readonly Range[]): BuildError {
  throw new Error("to follow");
}
