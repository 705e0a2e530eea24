/** Blocks in flight: the threads of libuv's pool, which does the work. */
const parallelBlocks = 4;

/** Results in the order of the blocks, with some of them being worked on ahead. */
export async function* inParallel(
  blocks: AsyncIterable<Uint8Array>,
  work: (block: Uint8Array) => Promise<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const running: Promise<Uint8Array>[] = [];
  try {
    for await (const block of blocks) {
      const result = work(block);
      result.catch(() => {});
      running.push(result);
      if (running.length === parallelBlocks) yield await (running.shift() as Promise<Uint8Array>);
    }
    for (let next = running.shift(); next !== undefined; next = running.shift()) yield await next;
  } finally {
    await Promise.allSettled(running);
  }
}
