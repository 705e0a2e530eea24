/**
 * Variables of an image config, `KEY=value`. Setting one again leaves it where it is (BuildKit
 * frontend/dockerfile/dockerfile2llb/convert.go, addEnv), of several with the same key the first.
 */
export class ImageEnv {
  readonly #entries: string[];
  /** Of the first entry of each key. */
  readonly #places = new Map<string, number>();

  constructor(entries: Iterable<string> = []) {
    this.#entries = [...entries];
    for (const [place, [key]] of this.pairs().entries()) if (!this.#places.has(key)) this.#places.set(key, place);
  }

  get entries(): readonly string[] {
    return this.#entries;
  }

  /** A missing `=` gives an empty value. */
  pairs(): (readonly [key: string, value: string])[] {
    return this.#entries.map(splitEnv);
  }

  has(key: string): boolean {
    return this.#places.has(key);
  }

  set(key: string, value: string): void {
    const place = this.#places.get(key) ?? this.#entries.length;
    this.#places.set(key, place);
    this.#entries[place] = `${key}=${value}`;
  }
}

function splitEnv(entry: string): readonly [string, string] {
  const equals = entry.indexOf("=");
  return equals < 0 ? [entry, ""] : [entry.slice(0, equals), entry.slice(equals + 1)];
}
