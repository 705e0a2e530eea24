import { Source } from "../api/gen/errdefs.ts";
import { type Range, SourceInfo } from "../api/gen/ops.ts";
import type { BuildError } from "../core/errors/build-error.ts";

/** BuildKit sends its details as JSON of the protobuf message (util/grpcerrors/grpcerrors.go), others as the message itself. */
const sourceType = "github.com/moby/buildkit/errdefs.Source";

interface PositionJson {
  readonly line?: number;
}

interface SourceJson {
  readonly info?: { readonly filename?: string; readonly data?: string };
  readonly ranges?: readonly { readonly start?: PositionJson; readonly end?: PositionJson }[];
}

/** The parts of build files that an error is about, innermost cause first, as text ready to print. */
export function sourceExcerpts(error: BuildError): readonly string[] {
  const found: string[] = [];
  for (const { typeUrl, value } of error.details) {
    const source = decode(typeUrl, value);
    if (source?.info !== undefined) found.push(excerpt(source.info, source.ranges));
  }
  return found.reverse().filter((text) => text !== "");
}

function decode(typeUrl: string, value: Uint8Array): Source | undefined {
  try {
    if (typeUrl.endsWith(`${sourceType}+json`)) return fromJson(JSON.parse(new TextDecoder().decode(value)));
    if (typeUrl.endsWith(sourceType)) return Source.decode(value);
  } catch {
    // An unreadable detail is no reason to lose the error.
  }
  return undefined;
}

function fromJson({ info, ranges }: SourceJson): Source {
  const position = (at: PositionJson | undefined) => ({ line: at?.line ?? 0, character: 0 });
  return {
    info:
      info === undefined
        ? undefined
        : SourceInfo.fromPartial({ filename: info.filename ?? "", data: Buffer.from(info.data ?? "", "base64") }),
    ranges: (ranges ?? []).map(({ start, end }) => ({ start: position(start), end: position(end) })),
  };
}

const rule = "--------------------\n";

/** The lines of the ranges marked `>>>`, with a few around them (BuildKit solver/errdefs/source.go). */
function excerpt(info: SourceInfo, ranges: readonly Range[]): string {
  const marked = ranges.map(({ start, end }) => {
    const first = start?.line ?? 0;
    return { first, last: Math.max(first, end?.line ?? 0) };
  });
  const lines = new TextDecoder().decode(info.data).split("\n");
  const first = Math.min(...marked.map((range) => range.first));
  if (marked.length === 0 || first < 1 || first > lines.length) return "";
  const last = Math.min(Math.max(...marked.map((range) => range.last)), lines.length);
  const { from, to } = withContext(first, last, lines.length);
  let text = `${info.filename}:${first}\n${rule}`;
  for (let line = from; line <= to; line++) {
    const mark = marked.some((range) => range.first <= line && line <= range.last) ? ">>>" : "   ";
    text += ` ${String(line).padStart(3)} | ${mark} ${lines[line - 1] ?? ""}\n`;
  }
  return text + rule;
}

/** A line before and one after in turn; one marked line alone gets more of them. */
function withContext(first: number, last: number, count: number): { readonly from: number; readonly to: number } {
  let from = first;
  let to = last;
  for (let wanted = first === last ? 4 : 2; wanted > 0; wanted--) {
    if (from > 1) {
      from--;
      wanted--;
    }
    if (to < count) {
      to++;
      wanted--;
    }
  }
  return { from, to };
}
