import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { UsageError } from "../usage-error.ts";

/** `key=value` flags as a record; a later one of the same key wins. */
export function parsePairs(flag: string, texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const equals = text.indexOf("=");
      if (equals < 1) throw new UsageError(`invalid value ${JSON.stringify(text)} for ${flag}: expected key=value`);
      return [text.slice(0, equals), text.slice(equals + 1)];
    }),
  );
}

/** `name=directory` flags as absolute paths. @throws UsageError when one is no directory */
export async function parseDirectories(flag: string, texts: readonly string[]): Promise<Map<string, string>> {
  const directories = new Map<string, string>();
  for (const [name, path] of Object.entries(parsePairs(flag, texts))) {
    directories.set(name, await existingDirectory(flag, path));
  }
  return directories;
}

/** The absolute path of a directory. @throws UsageError when it is none */
export async function existingDirectory(flag: string, path: string): Promise<string> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) throw new UsageError(`${flag}: no such directory: ${path}`);
  if (!found.isDirectory()) throw new UsageError(`${flag}: not a directory: ${path}`);
  return resolve(path);
}
