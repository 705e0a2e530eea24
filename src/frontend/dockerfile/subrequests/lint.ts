import type { Range, SourceInfo } from "../../../api/gen/ops.ts";
import { BuildError } from "../../../core/errors/build-error.ts";
import type { FrontendResult } from "../../../core/seams/llb-bridge.ts";
import { DockerfileError } from "../dockerfile-error.ts";
import type { LintWarning } from "../lint/index.ts";
import { locationJson, sourceInfoJson } from "./pb-json.ts";
import { lintRequest, subrequestResult } from "./request.ts";
import { sourceExcerpt } from "./source-excerpt.ts";

/**
 * `frontend.lint`: the warnings, and the error the build would have ended with.
 *
 * @param failure what the conversion threw
 */
export function lintResult(warnings: readonly LintWarning[], failure: unknown, source: SourceInfo): FrontendResult {
  const json = {
    warnings: warnings.length === 0 ? null : warnings.map(warningJson),
    sources: [sourceInfoJson(source)],
    ...(failure === undefined ? {} : { buildError: errorJson(failure) }),
  };
  const line = ({ location }: LintWarning) => location[0]?.start?.line ?? 0;
  const text = warnings
    .toSorted((a, b) => line(a) - line(b))
    .map((warning) => warningText(warning, source))
    .join("");
  const status = warnings.length > 0 || failure !== undefined ? "1" : "0";
  return subrequestResult(lintRequest, json, { "result.txt": text, "result.statuscode": status });
}

function warningJson({ ruleName, description, url, message, location }: LintWarning): object {
  return {
    ruleName,
    ...(description === "" ? {} : { description }),
    ...(url === "" ? {} : { url }),
    ...(message === "" ? {} : { detail: message }),
    location: locationJson({ sourceIndex: 0, ranges: [...location] }),
  };
}

function warningText({ ruleName, url, message, location }: LintWarning, source: SourceInfo): string {
  return `\nWARNING: ${ruleName}${url === "" ? "" : ` - ${url}`}\n${message}\n${sourceExcerpt(source, location)}`;
}

function errorJson(failure: unknown): object {
  const ranges = failure instanceof DockerfileError ? joinedRanges(failure.ranges) : [];
  return { message: BuildError.from(failure).message, location: locationJson({ sourceIndex: 0, ranges }) };
}

/** Overlapping ranges as one, in order. */
function joinedRanges(ranges: readonly Range[]): Range[] {
  const joined: Range[] = [];
  for (const range of ranges.toSorted((a, b) => (a.start?.line ?? 0) - (b.start?.line ?? 0))) {
    const last = joined.at(-1);
    if (last?.end === undefined || (range.start?.line ?? 0) > last.end.line) {
      joined.push({ start: range.start, end: range.end && { ...range.end } });
    } else {
      last.end.line = Math.max(last.end.line, range.end?.line ?? 0);
    }
  }
  return joined;
}
