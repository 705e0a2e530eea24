import type { Range } from "../../api/gen/ops.ts";
import { BuildError, type ErrorDetail } from "../../core/errors/build-error.ts";

/**
 * An error with a place in the Dockerfile. Each location is the list of line ranges of one instruction; the innermost comes
 * first (BuildKit frontend/dockerfile/parser/errors.go).
 */
export class DockerfileError extends BuildError {
  readonly locations: readonly (readonly Range[])[];

  constructor(cause: BuildError, locations: readonly (readonly Range[])[]) {
    super(cause.code, cause.message, { cause, details: cause.details, infrastructure: cause.infrastructure });
    this.locations = locations;
  }

  /** All ranges of all locations. */
  get ranges(): readonly Range[] {
    return this.locations.flat();
  }

  override wrap(context: string, more: readonly ErrorDetail[] = []): DockerfileError {
    return new DockerfileError(super.wrap(context, more), this.locations);
  }
}

/** The error with one more location. */
export function withLocation(error: unknown, location: readonly Range[]): DockerfileError {
  const inner = BuildError.from(error);
  return new DockerfileError(inner, inner instanceof DockerfileError ? [...inner.locations, location] : [location]);
}

/** The error with this location in place of any it had. */
export function replaceLocation(error: unknown, location: readonly Range[]): DockerfileError {
  return new DockerfileError(BuildError.from(error), [location]);
}

/** One range for each line of `start…end` (1-based, inclusive); just `start` when `end` lies before it. */
export function lineRanges(start: number, end: number): Range[] {
  const ranges: Range[] = [];
  for (let line = start; line <= Math.max(start, end); line++) {
    ranges.push({ start: { line, character: 0 }, end: { line, character: 0 } });
  }
  return ranges;
}
