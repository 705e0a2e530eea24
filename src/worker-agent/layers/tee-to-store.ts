import type { ContentStore } from "../../core/seams/content-store.ts";
import { AsyncQueue } from "../../util/async-queue.ts";
import type { ExpectedBlob } from "./resuming-read.ts";

/**
 * Passes bytes on and writes them to the store at the same time. The iteration ends only when the store has the blob; an
 * error of either side ends both, and then nothing is kept.
 */
export async function* teeToStore(
  bytes: AsyncIterable<Uint8Array>,
  store: ContentStore,
  expected: ExpectedBlob,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  if ((await store.stat(expected.digest)) !== undefined) {
    yield* bytes;
    return;
  }
  const queue = new AsyncQueue<Uint8Array>(16);
  const written = store.write(queue, expected, signal);
  written.catch(() => {});
  let complete = false;
  try {
    for await (const chunk of bytes) {
      if (!(await queue.push(chunk))) break;
      yield chunk;
    }
    complete = true;
  } finally {
    if (complete) queue.end();
    else queue.fail(new Error("download ended early"));
  }
  await written;
}
