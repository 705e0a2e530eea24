/**
 * JSON text as Go's encoding/json writes it: `<`, `>`, `&` and the two line separators escaped. Digests of configs, manifests
 * and statements depend on it. Keys stay in insertion order; undefined values are left out.
 */
export function goJson(value: unknown, indent?: string): string {
  return JSON.stringify(value, null, indent).replace(/[<>&\u2028\u2029]/g, escapeCharacter);
}

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** A time as Go's time.Time marshals it: RFC 3339 in UTC, fraction without trailing zeros. */
export function goTime(unixMs: number): string {
  return new Date(unixMs).toISOString().replace(/\.?0*Z$/, "Z");
}
