import { cut } from "../text.ts";

/** Variables by name. */
export interface EnvLookup {
  get(name: string): string | undefined;
  /** Names in order of definition. */
  keys(): readonly string[];
}

export const emptyEnv: EnvLookup = { get: () => undefined, keys: () => [] };

/** Lookup over `KEY=value` entries; the last entry of a key wins. */
export function envFromList(entries: readonly string[]): EnvLookup {
  const values = new Map<string, string>();
  const keys: string[] = [];
  for (const entry of entries) {
    const { before, after = "" } = cut(entry, "=");
    keys.push(before);
    values.set(before, after);
  }
  return { get: (name) => values.get(name), keys: () => keys };
}
