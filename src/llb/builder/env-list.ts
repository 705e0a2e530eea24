/** One variable set or, without a value, taken away. */
interface Entry {
  readonly key: string;
  readonly value: string | undefined;
}

/** Entries of many lists, each of which sees the first so many: what a list adds goes to the end, unless another did so before. */
class EntryLog {
  readonly entries: Entry[] = [];
  /** Where the entries of a key are, in order. */
  readonly places = new Map<string, number[]>();

  append(entry: Entry): void {
    const places = this.places.get(entry.key);
    if (places === undefined) this.places.set(entry.key, [this.entries.length]);
    else places.push(this.entries.length);
    this.entries.push(entry);
  }

  /** Place of the last entry of a key among the first `length`. */
  last(key: string, length: number): number | undefined {
    return this.places.get(key)?.findLast((place) => place < length);
  }
}

/**
 * Immutable list of environment variables. Setting a variable again moves it to the end: the order is part of an exec's
 * digest (BuildKit client/llb/meta.go, EnvList). Setting costs the same however long the list is, as long as each list is the
 * start of one other; for a second one it is copied.
 */
export class EnvList {
  static get empty(): EnvList {
    return new EnvList(new EntryLog(), 0);
  }

  readonly #log: EntryLog;
  readonly #length: number;
  #values: ReadonlyMap<string, string> | undefined;

  private constructor(log: EntryLog, length: number) {
    this.#log = log;
    this.#length = length;
  }

  set(key: string, value: string): EnvList {
    return this.#append([{ key, value }]);
  }

  setAll(entries: Iterable<readonly [key: string, value: string]>): EnvList {
    return this.#append([...entries].map(([key, value]) => ({ key, value })));
  }

  setDefault(key: string, value: string): EnvList {
    return this.has(key) ? this : this.set(key, value);
  }

  delete(key: string): EnvList {
    return this.has(key) ? this.#append([{ key, value: undefined }]) : this;
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  get(key: string): string | undefined {
    const place = this.#log.last(key, this.#length);
    return place === undefined ? undefined : this.#log.entries[place]?.value;
  }

  keys(): readonly string[] {
    return [...this.#all().keys()];
  }

  /** `KEY=value` entries. */
  toArray(): string[] {
    return [...this.#all()].map(([key, value]) => `${key}=${value}`);
  }

  #append(entries: readonly Entry[]): EnvList {
    const log = this.#log.entries.length === this.#length ? this.#log : this.#copy();
    for (const entry of entries) log.append(entry);
    return new EnvList(log, log.entries.length);
  }

  #copy(): EntryLog {
    const log = new EntryLog();
    for (const [key, value] of this.#all()) log.append({ key, value });
    return log;
  }

  #all(): ReadonlyMap<string, string> {
    if (this.#values !== undefined) return this.#values;
    const values = new Map<string, string>();
    for (const [place, { key, value }] of this.#log.entries.slice(0, this.#length).entries()) {
      if (value !== undefined && this.#log.last(key, this.#length) === place) values.set(key, value);
    }
    this.#values = values;
    return values;
  }
}
