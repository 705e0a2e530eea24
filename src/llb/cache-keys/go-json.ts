/**
 * JSON text as Go's encoding/json writes it, byte for byte: fields in declared order, HTML characters and U+2028/9 escaped,
 * `omitempty`, []byte as base64. Cache keys are hashes of such text (map d12).
 *
 * An encoder returns undefined for Go's empty value (zero, "", false, nil, no elements), which `object` then leaves out.
 */
export type GoEncoder<V> = (value: V) => string | undefined;

type Field<T> = { [K in keyof T]-?: readonly [jsonName: string, key: K, encode: GoEncoder<T[K]>] }[keyof T];

/** A struct; it is never empty itself, so a nil pointer must be dealt with by `optional`. */
export function object<T>(...fields: readonly Field<T>[]): (value: T) => string {
  return (value) => {
    const parts: string[] = [];
    for (const [jsonName, key, encode] of fields) {
      const text = (encode as GoEncoder<T[keyof T]>)(value[key]);
      if (text !== undefined) parts.push(`${quote(jsonName)}:${text}`);
    }
    return `{${parts.join(",")}}`;
  };
}

export const text: GoEncoder<string> = (value) => (value === "" ? undefined : quote(value));
export const number: GoEncoder<number | bigint> = (value) => (Number(value) === 0 ? undefined : String(value));
export const flag: GoEncoder<boolean> = (value) => (value ? "true" : undefined);
export const bytes: GoEncoder<Uint8Array> = (value) => (value.length === 0 ? undefined : base64(value));

/** Writes the zero value too: a field without omitempty. */
export function always<V>(encode: GoEncoder<V>, zero: string): GoEncoder<V> {
  return (value) => encode(value) ?? zero;
}

/** A pointer. */
export function optional<V>(encode: GoEncoder<V>): GoEncoder<V | undefined> {
  return (value) => (value === undefined ? undefined : encode(value));
}

/** A slice; elements are written even when empty. */
export function list<V>(encode: GoEncoder<V>, zero = "null"): GoEncoder<readonly V[]> {
  return (values) => (values.length === 0 ? undefined : `[${values.map((value) => encode(value) ?? zero).join(",")}]`);
}

export const texts: GoEncoder<readonly string[]> = list(text, '""');

/** A map, written in order of its keys' bytes. */
export function map<V>(encode: GoEncoder<V>, zero = "null"): GoEncoder<Readonly<Record<string, V>>> {
  return (values) => {
    const entries = Object.entries(values).sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    if (entries.length === 0) return undefined;
    return `{${entries.map(([key, value]) => `${quote(key)}:${encode(value) ?? zero}`).join(",")}}`;
  };
}

export function quote(value: string): string {
  return JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

export function base64(value: Uint8Array | string): string {
  return quote(Buffer.from(value).toString("base64"));
}
