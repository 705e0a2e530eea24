const smallestChunkBytes = 1 << 20;
const largestChunkBytes = 8 << 20;
/** Enough for many agents to hold different ones, few enough for a set of them to be small in a message. */
const wantedChunks = 256;

/** How a blob of `size` bytes is divided: chunks of one size, a power of two of 1 to 8 MiB; the last may be shorter. */
export class ChunkLayout {
  readonly size: number;
  readonly chunkBytes: number;
  readonly count: number;

  constructor(size: number) {
    this.size = size;
    const wanted = 2 ** Math.ceil(Math.log2(Math.max(size / wantedChunks, 1)));
    this.chunkBytes = Math.min(largestChunkBytes, Math.max(smallestChunkBytes, wanted));
    this.count = Math.ceil(size / this.chunkBytes);
  }

  start(chunk: number): number {
    return chunk * this.chunkBytes;
  }

  length(chunk: number): number {
    return Math.min(this.chunkBytes, this.size - this.start(chunk));
  }

  /** The chunk in which a byte is. */
  chunkAt(offset: number): number {
    return Math.floor(offset / this.chunkBytes);
  }
}
