/** What templates work on. Objects have the names of Go's fields; as JSON they look as Go writes them. */
export type GoValue = string | number | boolean | null | GoEnum | GoObject | readonly GoValue[];

/** A constant that is a name as text and a number as JSON. */
export class GoEnum {
  readonly name: string;
  readonly #number: number;

  constructor(name: string, number: number) {
    this.name = name;
    this.#number = number;
  }

  toJSON(): number {
    return this.#number;
  }
}

/** A struct or a map. */
export class GoObject {
  readonly fields: ReadonlyMap<string, GoValue>;
  readonly #json: () => unknown;

  private constructor(fields: ReadonlyMap<string, GoValue>, json: () => unknown) {
    this.fields = fields;
    this.#json = json;
  }

  /**
   * A struct with JSON names for its fields; Go's begin with a capital letter, and some with two.
   * @param optional fields left out as JSON when they are empty
   */
  static struct(values: Readonly<Record<string, GoValue>>, optional: readonly string[] = []): GoObject {
    const fields = Object.entries(values).map(([name, value]) => [goName(name), value] as const);
    const shown = Object.entries(values).filter(([name, value]) => !optional.includes(name) || !isEmpty(value));
    return new GoObject(new Map(fields), () => Object.fromEntries(shown));
  }

  /** A protobuf message: as JSON it has only fields with a value. */
  static message(values: Readonly<Record<string, GoValue>>): GoObject {
    return GoObject.struct(values, Object.keys(values));
  }

  static map(values: Readonly<Record<string, GoValue>>): GoObject {
    const sorted = Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1));
    return new GoObject(new Map(sorted), () => Object.fromEntries(sorted));
  }

  toJSON(): unknown {
    return this.#json();
  }
}

/** What templates take for false, and protobuf for absent. */
export function isEmpty(value: GoValue): boolean {
  if (value === null || value === "" || value === 0 || value === false) return true;
  if (value instanceof GoEnum) return value.toJSON() === 0;
  if (Array.isArray(value)) return value.length === 0;
  return value instanceof GoObject && value.fields.size === 0;
}

/** `media_type` → `MediaType`, `gcPolicy` → `GCPolicy`. */
function goName(name: string): string {
  if (name === "id" || name === "os") return name.toUpperCase();
  return name
    .replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase())
    .replace(/^(Gc|Cdi)(?=[A-Z])/, (word) => word.toUpperCase());
}
