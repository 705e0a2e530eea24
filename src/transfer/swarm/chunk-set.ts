/** A set of chunk numbers below `count`, one bit each. */
export class ChunkSet {
  readonly count: number;
  readonly #bits: Uint8Array;
  #size = 0;

  constructor(count: number) {
    this.count = count;
    this.#bits = new Uint8Array(Math.ceil(count / 8));
  }

  static full(count: number): ChunkSet {
    const set = new ChunkSet(count);
    for (let chunk = 0; chunk < count; chunk++) set.add(chunk);
    return set;
  }

  /** What `encode` made; bits beyond `count` and missing bytes are taken for absent chunks. */
  static decode(text: string, count: number): ChunkSet {
    const set = new ChunkSet(count);
    const bytes = Buffer.from(text, "base64");
    for (let chunk = 0; chunk < count; chunk++) {
      if (((bytes[chunk >> 3] ?? 0) & (1 << (chunk & 7))) !== 0) set.add(chunk);
    }
    return set;
  }

  encode(): string {
    return Buffer.from(this.#bits).toString("base64");
  }

  get size(): number {
    return this.#size;
  }

  get complete(): boolean {
    return this.#size === this.count;
  }

  has(chunk: number): boolean {
    return ((this.#bits[chunk >> 3] ?? 0) & (1 << (chunk & 7))) !== 0;
  }

  add(chunk: number): void {
    if (chunk < 0 || chunk >= this.count || this.has(chunk)) return;
    this.#bits[chunk >> 3] = (this.#bits[chunk >> 3] ?? 0) | (1 << (chunk & 7));
    this.#size++;
  }
}
