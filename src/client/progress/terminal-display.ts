import { stripVTControlCharacters } from "node:util";
import type { StatusResponse } from "../../api/gen/control.ts";
import { BuildView } from "./build-view.ts";
import type { Display, TextSink } from "./display.ts";
import { failureReport } from "./failure-report.ts";
import { terminalColors } from "./terminal-colors.ts";
import { type FrameSize, terminalFrame } from "./terminal-frame.ts";
import { textWidth } from "./text-width.ts";

/** A terminal; its size may change at any time. */
export interface Terminal extends TextSink {
  readonly columns?: number;
  readonly rows?: number;
}

export interface TerminalDisplayOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly now?: () => number;
}

const refreshMs = 100;
const keepLogLines = 500;
const defaultLogLines = 6;
const hideCursor = "\x1b[?25l";
const showCursor = "\x1b[?25h";
const eraseLine = "\x1b[K";
const eraseBelow = "\x1b[J";

/**
 * A picture of the build that is redrawn in place. Each frame is one write, so an interrupted process leaves a whole frame and
 * a visible cursor.
 */
export class TerminalDisplay implements Display {
  readonly #terminal: Terminal;
  readonly #now: () => number;
  readonly #env: NodeJS.ProcessEnv;
  readonly #view: BuildView;
  #drawn: readonly string[] = [];
  #drawnAt = Number.NEGATIVE_INFINITY;

  constructor(terminal: Terminal, options: TerminalDisplayOptions = {}) {
    this.#terminal = terminal;
    this.#now = options.now ?? Date.now;
    this.#env = options.env ?? process.env;
    this.#view = new BuildView({ keepLogLines, now: this.#now });
  }

  update(status: StatusResponse): void {
    this.#view.apply(status);
    if (this.#now() - this.#drawnAt >= refreshMs) this.refresh();
  }

  refresh(): void {
    this.#draw(false);
  }

  finish(): void {
    this.#draw(true);
    this.#terminal.write(failureReport(this.#view));
  }

  #draw(last: boolean): void {
    this.#drawnAt = this.#now();
    const size = this.#size();
    const logLines = Number.parseInt(this.#env["BUILDKIT_TTY_LOG_LINES"] ?? "", 10);
    const lines = terminalFrame(this.#view, {
      size,
      colors: terminalColors(this.#env),
      logLines: logLines > 0 ? logLines : defaultLogLines,
      last,
    });
    const up = rowsOf(this.#drawn, size.columns);
    const back = up === 0 ? "" : `\x1b[${up}A\r`;
    this.#terminal.write(
      `${hideCursor}${back}${lines.map((line) => `${line}${eraseLine}\n`).join("")}${eraseBelow}${showCursor}`,
    );
    this.#drawn = lines;
  }

  #size(): FrameSize {
    const { columns, rows } = this.#terminal;
    return { columns: columns && columns > 0 ? columns : 80, rows: rows && rows > 0 ? rows : 24 };
  }
}

/** Rows that lines take now: a terminal that became narrower has wrapped them. */
function rowsOf(lines: readonly string[], columns: number): number {
  return lines.reduce((sum, line) => {
    return sum + Math.max(1, Math.ceil(textWidth(stripVTControlCharacters(line)) / columns));
  }, 0);
}
