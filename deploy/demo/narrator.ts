import type { Writable } from "node:stream";
import { stripVTControlCharacters } from "node:util";

/** Tells the story on the terminal: numbered headings, a line or two on why, then what happens. */
export class Narrator {
  readonly width: number;
  readonly #out: Writable;
  readonly #colour: boolean;
  #part = 0;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
    this.#colour = out.isTTY === true && !process.env["NO_COLOR"];
    this.width = Math.min(Math.max(out.columns ?? 110, 80), 140);
  }

  /** Begins a part. */
  part(title: string, why = ""): void {
    this.#part++;
    this.line();
    this.line(this.bold(`${this.#part}. ${title}`));
    for (const line of wrap(why, this.width - 3)) this.line(`   ${this.dim(line)}`);
    if (why !== "") this.line();
  }

  /** Something done. */
  done(text: string): void {
    this.line(`   ${this.#paint("32", "✓")} ${text}`);
  }

  failed(text: string): void {
    this.line(`   ${this.#paint("31", "✗")} ${text}`);
  }

  /** Something to know that is not as one would expect. */
  note(text: string): void {
    const [first = "", ...more] = wrap(text, this.width - 5);
    this.line(`   ${this.#paint("33", "!")} ${first}`);
    for (const line of more) this.line(`     ${line}`);
  }

  /** A command as one would type it. */
  command(text: string): void {
    this.line(`   ${this.#paint("36", `$ ${text}`)}`);
  }

  /** Lines indented under the part. */
  text(text: string): void {
    for (const line of text.trimEnd().split("\n")) this.line(`   ${line}`);
  }

  table(rows: readonly (readonly string[])[]): void {
    const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
    for (const row of rows) {
      this.line(`   ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ")}`.trimEnd());
    }
  }

  bold(text: string): string {
    return this.#paint("1", text);
  }

  dim(text: string): string {
    return this.#paint("2", text);
  }

  line(text = ""): void {
    this.#out.write(`${text}\n`);
  }

  /** @param text may have control characters of a step's output; they are removed */
  clean(text: string): string {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
    return stripVTControlCharacters(text).replace(/[\u0000-\u0008\u000b-\u001f]/g, "");
  }

  #paint(code: string, text: string): string {
    return this.#colour ? `\u001b[${code}m${text}\u001b[0m` : text;
  }
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/).filter((part) => part !== "")) {
    if (line !== "" && line.length + word.length >= width) {
      lines.push(line);
      line = "";
    }
    line += line === "" ? word : ` ${word}`;
  }
  return line === "" ? lines : [...lines, line];
}

export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const units = ["kB", "MB", "GB"];
  let value = bytes / 1000;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export function formatSeconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
