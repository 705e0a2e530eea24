const longestInline = 60;
const longestLine = 200;

/** One text that became another: on one line if both are short, else the part that differs as `-` and `+` lines. */
export function changeLines(what: string, before: string | undefined, after: string | undefined): string[] {
  if (isShort(before) && isShort(after)) {
    if (before === undefined) return [`${what}: ${quoted(after)} is new`];
    if (after === undefined) return [`${what}: ${quoted(before)} is gone`];
    return [`${what}: ${quoted(before)} -> ${quoted(after)}`];
  }
  const old = before?.split("\n") ?? [];
  const now = after?.split("\n") ?? [];
  let head = 0;
  while (head < Math.min(old.length, now.length) && old[head] === now[head]) head++;
  let tail = 0;
  while (tail < Math.min(old.length, now.length) - head && old.at(-1 - tail) === now.at(-1 - tail)) tail++;
  const removed = old.slice(head, old.length - tail);
  const added = now.slice(head, now.length - tail);
  const from = removed.length === 1 && added.length === 1 ? firstDifference(removed[0] ?? "", added[0] ?? "") : 0;
  return [
    `${what}:`,
    ...removed.map((line) => `  - ${excerpt(line, from)}`),
    ...added.map((line) => `  + ${excerpt(line, from)}`),
  ];
}

function isShort(text: string | undefined): boolean {
  return text === undefined || (text.length <= longestInline && !text.includes("\n"));
}

function quoted(text: string | undefined): string {
  return text === undefined || /^[\w@%+=:,./#-]+$/.test(text) ? (text ?? "") : JSON.stringify(text);
}

function firstDifference(a: string, b: string): number {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  return at;
}

/** What of a long line is around the place where it differs. */
function excerpt(line: string, differsAt: number): string {
  if (line.length <= longestLine) return line;
  const start = Math.max(0, Math.min(differsAt - longestLine / 4, line.length - longestLine));
  const end = start + longestLine;
  return `${start > 0 ? "…" : ""}${line.slice(start, end)}${end < line.length ? "…" : ""}`;
}
