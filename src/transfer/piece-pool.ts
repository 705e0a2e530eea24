/** Each by itself in memory: who sends one to another thread sends no more than it. */
export const pieceBytes = 1 << 20;
const mostSpare = 32;

/**
 * Memory for chunks on their way, in pieces that are used again and again. Fresh buffers would be garbage of a kind that makes
 * V8 collect its whole heap for every few of them, which costs as much CPU as hashing them.
 */
export class PiecePool {
  #spare: ArrayBufferLike[] = [];

  /** Pieces of so many bytes together, all but the last of `pieceBytes`; with anything in them. */
  take(length: number): Uint8Array[] {
    return Array.from({ length: Math.ceil(length / pieceBytes) }, (_, index) => {
      const buffer = this.#spare.pop() ?? Buffer.allocUnsafeSlow(pieceBytes).buffer;
      return new Uint8Array(buffer, 0, Math.min(pieceBytes, length - index * pieceBytes));
    });
  }

  /** Nobody uses these any more. */
  give(pieces: readonly Uint8Array[]): void {
    for (const { buffer } of pieces) if (this.#spare.length < mostSpare) this.#spare.push(buffer);
  }

  clear(): void {
    this.#spare = [];
  }
}
