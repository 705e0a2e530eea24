import type { Range, SourceInfo } from "../../../api/gen/ops.ts";

/** The lines of a file around ranges, those of the ranges marked `>>>` (BuildKit solver/errdefs/source.go). */
export function sourceExcerpt(info: SourceInfo, ranges: readonly Range[]): string {
  const marked = ranges.map(({ start, end }) => {
    const first = start?.line ?? 0;
    return { first, last: Math.max(first, end?.line ?? 0) };
  });
  if (marked.length === 0) return "";
  const lines = new TextDecoder().decode(info.data).split("\n");
  const first = Math.min(...marked.map((range) => range.first));
  if (first < 1 || first > lines.length) return "";
  const last = Math.min(Math.max(...marked.map((range) => range.last)), lines.length);
  let from = first;
  let to = last;
  // Context lines alternate above and below; a single line gets more of them.
  const wanted = first === last ? 4 : 2;
  for (let added = 0; added < wanted; added++) {
    if (from > 1) {
      from--;
      added++;
    }
    if (to < lines.length) {
      to++;
      added++;
    }
  }
  const rule = "--------------------\n";
  let text = `${info.filename}:${first}\n${rule}`;
  for (let line = from; line <= to; line++) {
    const mark = marked.some((range) => range.first <= line && line <= range.last) ? ">>>" : "   ";
    text += ` ${String(line).padStart(3)} | ${mark} ${lines[line - 1] ?? ""}\n`;
  }
  return text + rule;
}
