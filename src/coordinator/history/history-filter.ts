import type { BuildHistoryRecord } from "../../api/gen/control.ts";
import type { Timestamp } from "../../api/gen/google/protobuf/timestamp.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { checkFilters, matchesFilter } from "../../core/values/containerd-filter.ts";
import { csvFields } from "../../frontend/dockerfile/instructions/csv-fields.ts";
import { parseDuration } from "../../frontend/dockerfile/instructions/duration.ts";
import { parseGitUrl } from "../../llb/builder/git-url.ts";

export type RecordFilter = (record: BuildHistoryRecord) => boolean;

/**
 * A filter that lets a record pass when any of the texts does; each is a CSV line of conditions which must all hold
 * (BuildKit solver/llbsolver/history/filter.go). Beside containerd's conditions on `ref`, `status` and `repository` there are
 * `startedAt`, `completedAt` (an RFC 3339 time, or a duration before now) and `duration` with `>`, `>=`, `<`, `<=`.
 * @param now Unix milliseconds
 * @throws BuildError
 */
export function historyFilter(texts: readonly string[], now: number): RecordFilter {
  const alternatives = texts.map((text) => conditions(text, now));
  return (record) => alternatives.length === 0 || alternatives.some((all) => all.every((holds) => holds(record)));
}

function conditions(text: string, now: number): RecordFilter[] {
  const found: RecordFilter[] = [];
  const others: string[] = [];
  for (const field of csvFields(text)) {
    const condition = timeCondition(field, now);
    if (condition === undefined) others.push(field);
    else found.push(condition);
  }
  const filter = others.join(",");
  checkFilters([filter]);
  found.push((record) => matchesFilter(filter, ([name]) => fieldOf(record, name)));
  return found;
}

type Comparison = (value: number, limit: number) => boolean;

/** In the order in which they are looked for. */
const comparisons: readonly (readonly [string, Comparison])[] = [
  [">=", (value, limit) => value >= limit],
  ["<=", (value, limit) => value <= limit],
  [">", (value, limit) => value > limit],
  ["<", (value, limit) => value < limit],
];

function timeCondition(field: string, now: number): RecordFilter | undefined {
  const found = comparisons.find(([operator]) => field.includes(operator));
  if (found === undefined) return undefined;
  const [operator, holds] = found;
  const at = field.indexOf(operator);
  const value = field.slice(at + operator.length);
  switch (field.slice(0, at)) {
    case "startedAt": {
      const limit = instantSeconds(value, now);
      return (record) => holds(seconds(record.CreatedAt), limit);
    }
    case "completedAt": {
      const limit = instantSeconds(value, now);
      return (record) => holds(seconds(record.CompletedAt), limit);
    }
    case "duration": {
      const limit = durationNanos(value);
      if (limit === undefined) throw new BuildError(Code.Unknown, `invalid duration ${value}`);
      return (record) =>
        holds(record.CompletedAt === undefined ? 0 : nanos(record.CompletedAt) - nanos(record.CreatedAt), limit);
    }
    default:
      return undefined;
  }
}

function instantSeconds(text: string, now: number): number {
  const ago = durationNanos(text);
  if (ago !== undefined) return Math.floor((now - ago / 1e6) / 1000);
  const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:\d\d)$/.test(text)
    ? Date.parse(text)
    : Number.NaN;
  if (Number.isNaN(time)) throw new BuildError(Code.Unknown, `invalid time ${text}`);
  return Math.floor(time / 1000);
}

function durationNanos(text: string): number | undefined {
  try {
    return Number(parseDuration(text));
  } catch {
    return undefined;
  }
}

function seconds(time: Timestamp | undefined): number {
  return Number(time?.seconds ?? 0);
}

function nanos(time: Timestamp | undefined): number {
  return Number((time?.seconds ?? 0n) * 1_000_000_000n + BigInt(time?.nanos ?? 0));
}

function fieldOf(record: BuildHistoryRecord, name: string | undefined): string | undefined {
  switch (name) {
    case "ref":
      return record.Ref;
    case "status":
      return statusOf(record);
    case "repository":
      return repositoryOf(record);
    default:
      return undefined;
  }
}

function statusOf(record: BuildHistoryRecord): string {
  if (record.CompletedAt === undefined) return "running";
  if (record.error === undefined) return "completed";
  return record.error.message.includes("context canceled") ? "canceled" : "error";
}

function repositoryOf(record: BuildHistoryRecord): string | undefined {
  const named = record.FrontendAttrs["vcs:source"];
  if (named !== undefined) return named;
  const context = parseGitUrl(record.FrontendAttrs["context"] ?? "");
  return context.kind === "url" ? context.url.remote : undefined;
}
