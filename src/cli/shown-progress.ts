import { createWriteStream, type WriteStream } from "node:fs";
import type { StatusResponse } from "../api/gen/control.ts";
import {
  type Display,
  openDisplay,
  type ProgressMode,
  type ProgressStream,
  progressModes,
  statusJson,
} from "../client/progress/index.ts";
import { UsageError } from "./usage-error.ts";

export interface ShownProgressOptions {
  readonly mode: ProgressMode;
  readonly stream: ProgressStream;
  /** File that each message is appended to, as JSON. */
  readonly trace?: string;
}

const refreshMs = 150;

/** The progress of a build as a command shows it, on one display after the other when it has to begin anew. */
export class ShownProgress implements Disposable {
  readonly #options: ShownProgressOptions;
  readonly #trace: WriteStream | undefined;
  readonly #ticker: NodeJS.Timeout;
  #display: Display | undefined;

  /** @throws BuildError FailedPrecondition for `tty` without a terminal */
  constructor(options: ShownProgressOptions) {
    this.#options = options;
    this.#display = openDisplay(options.mode, options.stream);
    this.#trace =
      options.trace === undefined ? undefined : createWriteStream(options.trace, { flags: "a", mode: 0o600 });
    this.#ticker = setInterval(() => this.#display?.refresh(), refreshMs);
  }

  update(status: StatusResponse): void {
    this.#display ??= openDisplay(this.#options.mode, this.#options.stream);
    this.#display.update(status);
    this.#trace?.write(`${statusJson(status)}\n`);
  }

  /** Ends the display and says something below it; more progress is shown anew. */
  notice(text: string): void {
    this.#display?.finish();
    this.#display = undefined;
    if (speaks(this.#options.mode)) this.#options.stream.write(`${text}\n`);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#ticker);
    this.#display?.finish();
    this.#trace?.end();
  }
}

/** Programs read the one, nobody the other. */
export function speaks(mode: ProgressMode): boolean {
  return mode !== "quiet" && mode !== "rawjson";
}

/** @param flag of `--progress` */
export function progressMode(flag: string | undefined): ProgressMode {
  const text = flag ?? (process.env["BUILDKIT_PROGRESS"] || "auto");
  const mode = progressModes.find((name) => name === text);
  if (mode === undefined) {
    throw new UsageError(`invalid progress mode ${JSON.stringify(text)}: expected one of ${progressModes.join(", ")}`);
  }
  return mode;
}
