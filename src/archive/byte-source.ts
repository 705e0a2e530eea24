/** Takes exact amounts out of a stream of chunks of any size; what is at hand is taken without waiting. */
export class ByteSource {
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #onTaken: (bytes: Uint8Array) => void;
  #rest: Uint8Array = new Uint8Array(0);
  #ended = false;

  /** @param onTaken sees all bytes that are taken or dropped, in order; they are valid during the call */
  constructor(chunks: AsyncIterable<Uint8Array>, onTaken: (bytes: Uint8Array) => void = () => {}) {
    this.#chunks = chunks[Symbol.asyncIterator]();
    this.#onTaken = onTaken;
  }

  /** Waits until `length` bytes are at hand. @returns false when the stream ends before */
  async fill(length: number): Promise<boolean> {
    if (this.#rest.length >= length) return true;
    const parts = [this.#rest];
    let held = this.#rest.length;
    while (held < length && !this.#ended) {
      const next = await this.#chunks.next();
      if (next.done) {
        this.#ended = true;
        break;
      }
      parts.push(next.value);
      held += next.value.length;
    }
    this.#rest = parts.length === 2 && parts[0]?.length === 0 ? (parts[1] ?? this.#rest) : Buffer.concat(parts);
    return this.#rest.length >= length;
  }

  get available(): number {
    return this.#rest.length;
  }

  /** As `take`, without taking. */
  peek(length: number): Uint8Array {
    return this.#rest.subarray(0, length);
  }

  /** At most `length` bytes of those at hand; valid until the source is used again. */
  take(length: number): Uint8Array {
    const taken = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(taken.length);
    this.#onTaken(taken);
    return taken;
  }

  /** Reads the stream to its end, dropping everything. */
  async drain(): Promise<void> {
    this.take(this.available);
    while (!this.#ended) {
      const next = await this.#chunks.next();
      if (next.done) this.#ended = true;
      else this.#onTaken(next.value);
    }
  }

  /** Tells the producer that no more is wanted. */
  async cancel(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.#chunks.return?.();
  }
}
