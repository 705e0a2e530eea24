import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { Display } from "./display.ts";
import { PlainDisplay } from "./plain-display.ts";
import { QuietDisplay } from "./quiet-display.ts";
import { RawJsonDisplay } from "./raw-json-display.ts";
import { type Terminal, TerminalDisplay } from "./terminal-display.ts";

export const progressModes = ["auto", "plain", "tty", "rawjson", "quiet"] as const;
export type ProgressMode = (typeof progressModes)[number];

/** A stream that may be a terminal, such as `process.stderr`. */
export interface ProgressStream extends Terminal {
  readonly isTTY?: boolean;
}

/**
 * The display for a mode; `auto` is `tty` on a terminal and `plain` elsewhere.
 * @throws BuildError FailedPrecondition for `tty` without a terminal
 */
export function openDisplay(mode: ProgressMode, stream: ProgressStream): Display {
  const isTerminal = stream.isTTY === true;
  switch (mode) {
    case "auto":
      return isTerminal ? new TerminalDisplay(stream) : new PlainDisplay(stream);
    case "tty":
      if (!isTerminal) throw new BuildError(Code.FailedPrecondition, "--progress=tty needs a terminal on stderr");
      return new TerminalDisplay(stream);
    case "plain":
      return new PlainDisplay(stream);
    case "rawjson":
      return new RawJsonDisplay(stream);
    case "quiet":
      return new QuietDisplay();
  }
}
