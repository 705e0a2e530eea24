import { BuildError, type WireError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";

/** What travels between the pool and one of its threads. A thread has one job at a time. */
export type ToWorker =
  | { readonly type: "job"; readonly kind: string; readonly args: unknown }
  | { readonly type: "input"; readonly chunk: Uint8Array }
  | { readonly type: "input-end" }
  /** The consumer has taken one output chunk. */
  | { readonly type: "credit" };

export type FromWorker =
  | { readonly type: "output"; readonly chunk: Uint8Array }
  /** The job has taken one input chunk. */
  | { readonly type: "credit" }
  | { readonly type: "done"; readonly result: unknown }
  | { readonly type: "failed"; readonly error: ThreadError };

/** Chunks that may be under way in either direction before the sender waits. */
export const windowChunks = 8;

export interface ThreadError {
  readonly wire: WireError | undefined;
  readonly message: string;
  readonly code: string | undefined;
  readonly path: string | undefined;
}

export function toThreadError(error: unknown): ThreadError {
  const errno = error as NodeJS.ErrnoException;
  return {
    wire: error instanceof BuildError ? error.toWire() : undefined,
    message: error instanceof Error ? error.message : String(error),
    code: typeof errno?.code === "string" ? errno.code : undefined,
    path: typeof errno?.path === "string" ? errno.path : undefined,
  };
}

export function fromThreadError(error: ThreadError): Error {
  if (error.wire !== undefined) return BuildError.fromWire(error.wire);
  if (error.code === undefined) return new BuildError(Code.Internal, error.message);
  const errno: NodeJS.ErrnoException = new Error(error.message);
  errno.code = error.code;
  if (error.path !== undefined) errno.path = error.path;
  return errno;
}
