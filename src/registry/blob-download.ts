import { createHash, type Hash } from "node:crypto";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { Clock } from "../core/seams/clock.ts";
import type { Logger } from "../core/seams/logger.ts";
import type { Descriptor } from "../core/values/descriptor.ts";
import type { HttpResponse } from "./http-exchange.ts";
import { RegistryError } from "./registry-error.ts";

export interface BlobDownload {
  readonly descriptor: Descriptor;
  readonly offset: number;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Asks for the bytes from an offset on; a server may ignore the offset and answer 200. */
  readonly open: (offset: number) => Promise<{ readonly response: HttpResponse; readonly servedBy: string }>;
  readonly onMismatch: (servedBy: string) => void;
}

/** Cuts in a row without a byte in between before giving up. */
const maxIdleCuts = 4;
const cutPauseMs = 250;

/**
 * Streams a blob, taking it up again where a connection broke. Ends only with the whole blob: too few or too many bytes,
 * or a wrong digest (known only when reading from 0), throw at the end.
 */
export async function* downloadBlob(job: BlobDownload): AsyncGenerator<Uint8Array, void, undefined> {
  const { descriptor } = job;
  const hash = job.offset === 0 ? hashFor(descriptor.digest) : undefined;
  let position = job.offset;
  let idleCuts = 0;
  let servedBy = "";
  // A size of -1 is unknown: then the stream's own end is the end.
  while (position < descriptor.size || descriptor.size < 0 || (descriptor.size === 0 && servedBy === "")) {
    const opened = await job.open(position);
    servedBy = opened.servedBy;
    const before = position;
    try {
      for await (const chunk of fromOffset(opened.response, position, servedBy)) {
        position += chunk.length;
        if (descriptor.size >= 0 && position > descriptor.size) {
          job.onMismatch(servedBy);
          throw mismatch(`${servedBy} sent more than the ${descriptor.size} bytes of ${descriptor.digest}`);
        }
        hash?.update(chunk);
        yield chunk;
      }
      if (descriptor.size < 0) break;
      if (position === descriptor.size) break;
      throw new RegistryError(`unexpected EOF from ${servedBy} at byte ${position} of ${descriptor.size}`, {
        host: servedBy,
        path: opened.response.url.pathname,
      });
    } catch (error) {
      job.signal.throwIfAborted();
      if (error instanceof BuildError && error.code === Code.DataLoss) throw error;
      idleCuts = position > before ? 0 : idleCuts + 1;
      if (idleCuts >= maxIdleCuts || descriptor.size < 0) throw asRegistryError(error, servedBy, opened.response);
      job.logger.info("Download was cut, resuming", { host: servedBy, digest: descriptor.digest, position });
      await job.clock.sleep(cutPauseMs * 2 ** idleCuts, job.signal);
    } finally {
      opened.response.body.destroy();
    }
  }
  if (hash === undefined) return;
  const got = `${hash.algorithm}:${hash.state.digest("hex")}`;
  if (got !== descriptor.digest) {
    job.onMismatch(servedBy);
    throw mismatch(
      `${servedBy} sent ${got} for ${descriptor.digest}: unexpected commit digest ${got}, expected ${descriptor.digest}: failed precondition`,
    );
  }
}

async function* fromOffset(
  response: HttpResponse,
  position: number,
  servedBy: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  let skip = position;
  if (response.status === 206) {
    const range = response.header("content-range");
    if (range !== undefined && !range.startsWith(`bytes ${position}-`)) {
      throw mismatch(`unhandled content range in response from ${servedBy}: ${range}`);
    }
    skip = 0;
  }
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    if (skip >= chunk.length) {
      skip -= chunk.length;
      continue;
    }
    yield skip === 0 ? chunk : chunk.subarray(skip);
    skip = 0;
  }
}

function hashFor(digest: string): { algorithm: string; state: Hash; update(chunk: Uint8Array): void } {
  const algorithm = digest.slice(0, digest.indexOf(":"));
  const state = createHash(algorithm);
  return { algorithm, state, update: (chunk) => void state.update(chunk) };
}

function mismatch(message: string): BuildError {
  return new BuildError(Code.DataLoss, message);
}

function asRegistryError(error: unknown, host: string, response: HttpResponse): unknown {
  if (error instanceof BuildError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new RegistryError(`failed to read from ${host}: ${reason}`, {
    host,
    path: response.url.pathname,
    cause: error,
  });
}
