/** One object of a spec file, read key by key with its type checked; `end` refuses keys that nobody asked for. */
export class SpecTable {
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #path: string;
  readonly #read = new Set<string>();

  /** @throws Error when it is no object */
  constructor(value: unknown, path: string) {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw new Error(`${path} must be an object`);
    this.#values = value as Record<string, unknown>;
    this.#path = path;
  }

  /** Empty when absent. */
  string(key: string): string {
    return this.optionalString(key) ?? "";
  }

  optionalString(key: string): string | undefined {
    return this.#typed(key, "a string", (value) => (typeof value === "string" ? value : undefined));
  }

  optionalNumber(key: string): number | undefined {
    return this.#typed(key, "a whole number", wholeNumber);
  }

  numbers(key: string): readonly number[] {
    return this.#typed(key, "a list of whole numbers", (value) => listOf(value, wholeNumber)) ?? [];
  }

  strings(key: string): readonly string[] {
    const isText = (item: unknown) => (typeof item === "string" ? item : undefined);
    return this.#typed(key, "a list of strings", (value) => listOf(value, isText)) ?? [];
  }

  /** Values of YAML that look like something else, such as `true`, are taken as they are written. */
  texts(key: string): Readonly<Record<string, string>> {
    const text = (value: unknown) =>
      ["string", "boolean", "number"].includes(typeof value) ? String(value) : undefined;
    const entries = Object.entries(this.record(key) ?? {}).map(([name, value]) => {
      const found = text(value);
      if (found === undefined) throw new Error(`${this.#path}.${key}.${name} must be a string`);
      return [name, found] as const;
    });
    return Object.fromEntries(entries);
  }

  record(key: string): Readonly<Record<string, unknown>> | undefined {
    return this.#typed(key, "an object", (value) =>
      typeof value === "object" && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined,
    );
  }

  table(key: string): SpecTable | undefined {
    const record = this.record(key);
    return record && new SpecTable(record, `${this.#path}.${key}`);
  }

  tables(key: string): readonly SpecTable[] {
    const items = this.#typed(key, "a list", (value) => (Array.isArray(value) ? value : undefined)) ?? [];
    return items.map((item, index) => new SpecTable(item, `${this.#path}.${key}[${index}]`));
  }

  /** @throws Error for a key that is unknown */
  end(): void {
    const unknown = Object.keys(this.#values).find((key) => !this.#read.has(key));
    if (unknown !== undefined) throw new Error(`unknown field ${JSON.stringify(unknown)} in ${this.#path}`);
  }

  #typed<T>(key: string, expected: string, convert: (value: unknown) => T | undefined): T | undefined {
    this.#read.add(key);
    const value = this.#values[key];
    if (value === undefined || value === null) return undefined;
    const converted = convert(value);
    if (converted === undefined) throw new Error(`${this.#path}.${key} must be ${expected}`);
    return converted;
  }
}

function wholeNumber(value: unknown): number | undefined {
  return Number.isSafeInteger(value) ? (value as number) : undefined;
}

function listOf<T>(value: unknown, convert: (item: unknown) => T | undefined): readonly T[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const items = value.map(convert);
  return items.every((item) => item !== undefined) ? items : undefined;
}
