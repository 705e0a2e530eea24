import type { Readable } from "node:stream";
import type { ProgressStream } from "../client/progress/index.ts";

/** What commands use of the process. */
export interface CliContext {
  /** Aborts at SIGINT or SIGTERM. */
  readonly signal: AbortSignal;
  /** Says what the second one does; else, and at the third, the process ends at once. */
  readonly onSecondSignal?: (act: () => void) => void;
  readonly stdin: Readable & { readonly isTTY?: boolean; setRawMode?(raw: boolean): unknown };
  readonly stdout: OutputStream;
  readonly stderr: ProgressStream & OutputStream;
  /** Where signals of the process come from. */
  readonly signals?: Pick<NodeJS.Process, "on" | "off">;
}

export interface OutputStream {
  readonly isTTY?: boolean;
  /** Size of a terminal; it emits `resize`. */
  readonly columns?: number;
  readonly rows?: number;
  /** @param written called when the data is on its way */
  write(data: string | Uint8Array, written?: (error?: Error | null) => void): unknown;
  on?(event: "resize", listener: () => void): unknown;
  off?(event: "resize", listener: () => void): unknown;
}
