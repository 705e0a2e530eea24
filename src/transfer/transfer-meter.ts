/** Fewer bytes take as long as it takes to ask for them. */
const smallestSampleBytes = 4 << 20;
/** A transfer that goes on for longer is several samples. */
const longestSampleMs = 5000;
/** What a new sample counts against all before. */
const newest = 0.3;

/**
 * How fast bytes come in, whatever brings them: those that arrive while at least one read runs, over that time (EWMA). What reads
 * wait for counts: the link, the other side, and what takes the bytes from here.
 */
export class TransferMeter {
  readonly #now: () => number;
  #reads = 0;
  #since = 0;
  #bytes = 0;
  #totalBytes = 0;
  #bytesPerSecond: number | undefined;

  /** @param now milliseconds, of a clock that does not jump */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** All that ever arrived. */
  get totalBytes(): number {
    return this.#totalBytes;
  }

  /** Undefined until enough has arrived. */
  get bytesPerSecond(): number | undefined {
    return this.#bytesPerSecond;
  }

  /** A read begins; it ends when the answer is disposed. */
  read(): Disposable {
    if (this.#reads++ === 0) this.#restart();
    return {
      [Symbol.dispose]: () => {
        if (--this.#reads === 0) this.#learn();
      },
    };
  }

  /** To be called while a read runs. */
  arrived(bytes: number): void {
    this.#totalBytes += bytes;
    this.#bytes += bytes;
    if (this.#now() - this.#since >= longestSampleMs) this.#learn();
  }

  #learn(): void {
    const seconds = (this.#now() - this.#since) / 1000;
    if (this.#bytes < smallestSampleBytes || seconds <= 0) return;
    const sample = this.#bytes / seconds;
    this.#bytesPerSecond = newest * sample + (1 - newest) * (this.#bytesPerSecond ?? sample);
    this.#restart();
  }

  #restart(): void {
    this.#since = this.#now();
    this.#bytes = 0;
  }
}
