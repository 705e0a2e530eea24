import { ConfigError } from "./config-error.ts";
import { type DiskSpace, parseDiskSpace, parseDurationMs } from "./quantities.ts";

type Values = Readonly<Record<string, unknown>>;

/**
 * One table of a TOML file, read key by key with its type checked. Each reader answers undefined for a key that is absent; the
 * keys nobody asked for are found with `unread`.
 */
export class TomlTable {
  readonly #values: Values;
  readonly #path: string;
  readonly #read = new Set<string>();
  readonly #children: TomlTable[] = [];

  /** @param path of the table, empty for the file */
  constructor(values: Values, path = "") {
    this.#values = values;
    this.#path = path;
  }

  string(key: string): string | undefined {
    return this.#typed(key, "a string", (value) => (typeof value === "string" ? value : undefined));
  }

  boolean(key: string): boolean | undefined {
    return this.#typed(key, "true or false", (value) => (typeof value === "boolean" ? value : undefined));
  }

  /** Not negative. */
  integer(key: string): number | undefined {
    return this.#typed(key, "a whole number", (value) => {
      const number = typeof value === "bigint" ? Number(value) : value;
      return typeof number === "number" && Number.isSafeInteger(number) && number >= 0 ? number : undefined;
    });
  }

  strings(key: string): readonly string[] | undefined {
    return this.#typed(key, "a list of strings", (value) => {
      return Array.isArray(value) && value.every((item) => typeof item === "string") ? value : undefined;
    });
  }

  stringMap(key: string): Readonly<Record<string, string>> | undefined {
    return this.#typed(key, "a table of strings", (value) => {
      if (!isTable(value) || !Object.values(value).every((item) => typeof item === "string")) return undefined;
      return { ...(value as Record<string, string>) };
    });
  }

  /** One of some names. */
  choice<T extends string>(key: string, names: readonly T[]): T | undefined {
    return this.#typed(key, `one of ${names.join(", ")}`, (value) => names.find((name) => name === value));
  }

  diskSpace(key: string): DiskSpace | undefined {
    return this.#typed(key, 'a size such as 1000000, "10GB" or "20%"', (value) => {
      if (typeof value === "string") return parseDiskSpace(value);
      return typeof value === "number" || typeof value === "bigint" ? { bytes: Number(value) } : undefined;
    });
  }

  durationMs(key: string): number | undefined {
    return this.#typed(key, 'a time such as "48h" or a number of seconds', (value) => {
      if (typeof value === "string") return parseDurationMs(value);
      return typeof value === "number" || typeof value === "bigint" ? Number(value) * 1000 : undefined;
    });
  }

  has(key: string): boolean {
    return this.#values[key] !== undefined;
  }

  /** A sub-table, empty when absent. */
  table(key: string): TomlTable {
    return this.#child(key, this.#typed(key, "a table", (value) => (isTable(value) ? value : undefined)) ?? {});
  }

  /** The sub-tables of a table by name: `[registry."host"]`. */
  tables(key: string): readonly (readonly [name: string, table: TomlTable])[] {
    const parent = this.table(key);
    return Object.keys(parent.#values).map((name) => [name, parent.table(name)]);
  }

  /** `[[key]]` */
  list(key: string): readonly TomlTable[] {
    const tables = this.#typed(key, "a list of tables", (value) => {
      return Array.isArray(value) && value.every(isTable) ? value : undefined;
    });
    return (tables ?? []).map((values, index) => this.#child(`${key}[${index}]`, values));
  }

  /** Marks keys as known. @returns the paths of those that are set */
  takeUnsupported(...keys: readonly string[]): readonly string[] {
    return keys
      .filter((key) => this.#values[key] !== undefined)
      .map((key) => {
        this.#read.add(key);
        return this.#pathOf(key);
      });
  }

  /** Paths of keys that nothing has read, in this table and those read from it. */
  unread(): readonly string[] {
    const own = Object.keys(this.#values).filter((key) => !this.#read.has(key));
    return [...own.map((key) => this.#pathOf(key)), ...this.#children.flatMap((child) => child.unread())];
  }

  #child(key: string, values: Values): TomlTable {
    const child = new TomlTable(values, this.#pathOf(key));
    this.#children.push(child);
    return child;
  }

  #typed<T>(key: string, expected: string, convert: (value: unknown) => T | undefined): T | undefined {
    this.#read.add(key);
    const value = this.#values[key];
    if (value === undefined) return undefined;
    const converted = convert(value);
    if (converted === undefined) {
      const shown = typeof value === "bigint" ? String(value) : JSON.stringify(value);
      throw new ConfigError(`${this.#pathOf(key)} must be ${expected}, not ${shown}`);
    }
    return converted;
  }

  #pathOf(key: string): string {
    const name = /^[\w-]+(\[\d+\])?$/.test(key) ? key : JSON.stringify(key);
    return this.#path === "" ? name : `${this.#path}.${name}`;
  }
}

function isTable(value: unknown): value is Values {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}
