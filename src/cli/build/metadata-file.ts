import { randomBytes } from "node:crypto";
import { rename, rm, writeFile } from "node:fs/promises";

/** `--metadata-file`: what exporters answered, values that are base64 of a JSON object spelled out (map i6). */
export function metadataJson(response: Readonly<Record<string, string>>): string {
  const entries = Object.entries(response).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify(Object.fromEntries(entries.map(([key, value]) => [key, decoded(value)])), null, 2);
}

function decoded(value: string): unknown {
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(value)) return value;
  try {
    const parsed: unknown = JSON.parse(Buffer.from(value, "base64").toString("utf8"));
    const isObject = typeof parsed === "object" && parsed !== null && !Array.isArray(parsed);
    return isObject && Object.keys(parsed).length > 0 ? parsed : value;
  } catch {
    return value;
  }
}

/** Replaces a file as a whole: a reader sees the old text or the new. */
export async function writeFileAtomically(path: string, text: string): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString("hex")}`;
  try {
    await writeFile(temporary, text);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
