/**
 * Immutable list of environment variables. Setting a variable again moves it to the end: the order is part of an exec's
 * digest (BuildKit client/llb/meta.go, EnvList).
 */
export class EnvList {
  static readonly empty = new EnvList(new Map());
  readonly #values: ReadonlyMap<string, string>;

  private constructor(values: ReadonlyMap<string, string>) {
    this.#values = values;
  }

  set(key: string, value: string): EnvList {
    return this.setAll([[key, value]]);
  }

  /** Sets one after the other, at the cost of a single copy. */
  setAll(entries: Iterable<readonly [key: string, value: string]>): EnvList {
    const values = new Map(this.#values);
    for (const [key, value] of entries) {
      values.delete(key);
      values.set(key, value);
    }
    return new EnvList(values);
  }

  setDefault(key: string, value: string): EnvList {
    return this.#values.has(key) ? this : this.set(key, value);
  }

  delete(key: string): EnvList {
    if (!this.#values.has(key)) return this;
    const values = new Map(this.#values);
    values.delete(key);
    return new EnvList(values);
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  get(key: string): string | undefined {
    return this.#values.get(key);
  }

  keys(): readonly string[] {
    return [...this.#values.keys()];
  }

  /** `KEY=value` entries. */
  toArray(): string[] {
    return [...this.#values].map(([key, value]) => `${key}=${value}`);
  }
}
