import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { KeyValue, KeyValueChange, KeyValueWatch } from "../../core/seams/key-value.ts";
import { decode, encode } from "../../util/msgpack.ts";

interface Mirrored<T> {
  readonly value: T;
  readonly revision: number;
}

/** Records of a bucket that all coordinators share, mirrored by a watch: reading is local, changes decide races by revision. */
export class MirroredBucket<T> implements Disposable {
  readonly #bucket: KeyValue;
  readonly #onChange: (key: string) => void;
  readonly #entries = new Map<string, Mirrored<T>>();
  readonly #watch: KeyValueWatch;

  private constructor(bucket: KeyValue, onChange: (key: string) => void) {
    this.#bucket = bucket;
    this.#onChange = onChange;
    this.#watch = bucket.watch("", (change) => this.#hear(change));
  }

  /** @param onChange called with the key after each change, also those made here */
  static async open<T>(bucket: KeyValue, onChange: (key: string) => void = () => {}): Promise<MirroredBucket<T>> {
    const mirror = new MirroredBucket<T>(bucket, onChange);
    await mirror.#watch.ready;
    return mirror;
  }

  get(key: string): T | undefined {
    return this.#entries.get(key)?.value;
  }

  *values(): Generator<T> {
    for (const { value } of this.#entries.values()) yield value;
  }

  /** As the bucket has it now, whatever the mirror says. */
  async read(key: string): Promise<T | undefined> {
    return (await this.#read(key))?.value;
  }

  /**
   * Changes a record until nobody interferes; durable when it resolves.
   * @param change answers with the record as it shall be: the same object leaves it alone, undefined deletes it
   * @returns the record as it is then
   */
  async change(key: string, change: (known: T | undefined) => T | undefined): Promise<T | undefined> {
    for (let known = this.#entries.get(key); ; known = await this.#read(key)) {
      const wanted = change(known?.value);
      if (wanted === known?.value) return wanted;
      try {
        await this.#write(key, wanted, known);
        this.#onChange(key);
        return wanted;
      } catch (error) {
        const raced = error instanceof BuildError && (error.code === Code.Aborted || error.code === Code.AlreadyExists);
        if (!raced) throw error;
      }
    }
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
  }

  async #write(key: string, wanted: T | undefined, known: Mirrored<T> | undefined): Promise<void> {
    if (wanted === undefined) {
      await this.#bucket.delete(key, known?.revision);
      if (this.#entries.get(key) === known) this.#entries.delete(key);
      return;
    }
    const data = encode(wanted);
    const revision = await (known === undefined
      ? this.#bucket.create(key, data)
      : this.#bucket.update(key, data, known.revision));
    this.#set(key, { value: wanted, revision });
  }

  async #read(key: string): Promise<Mirrored<T> | undefined> {
    const entry = await this.#bucket.get(key);
    return entry && { value: decode<T>(entry.value), revision: entry.revision };
  }

  #hear({ key, value, revision }: KeyValueChange): void {
    if (value !== undefined) this.#set(key, { value: decode<T>(value), revision });
    else if ((this.#entries.get(key)?.revision ?? 0) < revision) this.#entries.delete(key);
    this.#onChange(key);
  }

  /** What was written here is known before the watch tells of what came before it. */
  #set(key: string, entry: Mirrored<T>): void {
    if ((this.#entries.get(key)?.revision ?? 0) < entry.revision) this.#entries.set(key, entry);
  }
}
