import type { Readable } from "node:stream";
import type { ProgressStream } from "../client/progress/index.ts";

/** What commands use of the process. */
export interface CliContext {
  /** Aborts at SIGINT or SIGTERM. */
  readonly signal: AbortSignal;
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: { write(data: string | Uint8Array, written?: (error?: Error | null) => void): unknown };
  readonly stderr: ProgressStream;
}
