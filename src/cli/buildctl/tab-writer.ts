/** A line of cells; the last one belongs to no column. */
export type Line = readonly string[];

export interface TabOptions {
  readonly minWidth: number;
  readonly tabWidth: number;
  readonly padding: number;
  readonly padCharacter: "\t" | " ";
}

/** How most of buildctl's tables are made. */
export const tabs: TabOptions = { minWidth: 1, tabWidth: 8, padding: 1, padCharacter: "\t" };
export const spaces: TabOptions = { minWidth: 0, tabWidth: 0, padding: 1, padCharacter: " " };

/**
 * Text in columns as Go's text/tabwriter sets it, so that scripts which cut buildctl's output at tabs cut ours as well. A
 * column is as wide as its widest cell among lines that follow each other and all have it.
 */
export function tabbed(lines: readonly Line[], options: TabOptions = tabs): string {
  const text: string[] = [];
  layOut(lines, [], options, text);
  return text.join("");
}

function layOut(lines: readonly Line[], widths: readonly number[], options: TabOptions, text: string[]): void {
  const column = widths.length;
  for (let at = 0; at < lines.length; ) {
    let end = at;
    while (hasColumn(lines[end], column)) end++;
    if (end === at) {
      text.push(lineText(lines[at] ?? [], widths, options));
      at++;
      continue;
    }
    const block = lines.slice(at, end);
    const cells = block.map((line) => (line[column] ?? "").length + options.padding);
    layOut(block, [...widths, Math.max(options.minWidth, ...cells)], options, text);
    at = end;
  }
}

function hasColumn(line: Line | undefined, column: number): boolean {
  return line !== undefined && line.length > column + 1;
}

function lineText(line: Line, widths: readonly number[], { tabWidth, padCharacter }: TabOptions): string {
  const cells = line.map((cell, index) => {
    const width = widths[index];
    if (width === undefined || index === line.length - 1) return cell;
    if (padCharacter === " ") return cell.padEnd(width);
    const stop = Math.ceil(width / tabWidth) * tabWidth;
    return cell + "\t".repeat(Math.ceil((stop - cell.length) / tabWidth));
  });
  return `${cells.join("")}\n`;
}
