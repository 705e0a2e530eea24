import { parentPort } from "node:worker_threads";
import { errnoOf } from "./fs-error.ts";

/** What a job in a worker may do besides returning. */
export interface JobContext {
  /** Throws once the caller has aborted; call it between steps that can take long. */
  readonly checkCancelled: () => void;
  /** Sends an interim message to the caller. */
  readonly emit: (message: unknown, transfer?: readonly ArrayBuffer[]) => void;
}

export type JobTable = Readonly<Record<string, (args: never, context: JobContext) => unknown>>;

export interface JobRequest {
  readonly id: number;
  readonly name: string;
  readonly args: unknown;
  /** One Int32: 1 = aborted. */
  readonly cancel: SharedArrayBuffer | undefined;
}

export type JobReply =
  | { readonly id: number; readonly event: unknown }
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: JobFailure };

export interface JobFailure {
  readonly message: string;
  /** errno name, if the job failed in a file system call. */
  readonly code: string | undefined;
  readonly stack: string | undefined;
}

/**
 * Makes this worker thread serve jobs by name. Jobs that return a promise run side by side, the others one after another.
 * Call once, from the thread's entry file.
 */
export function serveJobs(jobs: JobTable): void {
  const port = parentPort;
  if (port === null) throw new Error("serveJobs runs in a worker thread only");
  port.on("message", (request: JobRequest) => {
    const { id, cancel } = request;
    const flag = cancel === undefined ? undefined : new Int32Array(cancel);
    const context: JobContext = {
      checkCancelled: () => {
        if (flag !== undefined && Atomics.load(flag, 0) !== 0) throw new Error("context canceled");
      },
      emit: (event, transfer) => port.postMessage({ id, event } satisfies JobReply, [...(transfer ?? [])]),
    };
    const fail = (error: unknown) => port.postMessage({ id, error: failureOf(error) } satisfies JobReply);
    try {
      const job = jobs[request.name];
      if (job === undefined) throw new Error(`No job ${request.name}`);
      context.checkCancelled();
      const result = job(request.args as never, context);
      if (result instanceof Promise) {
        result.then((value: unknown) => port.postMessage({ id, result: value } satisfies JobReply)).catch(fail);
      } else {
        port.postMessage({ id, result } satisfies JobReply);
      }
    } catch (error) {
      fail(error);
    }
  });
}

function failureOf(error: unknown): JobFailure {
  if (!(error instanceof Error)) return { message: String(error), code: undefined, stack: undefined };
  return { message: error.message, code: errnoOf(error), stack: error.stack };
}
