import { lstat, opendir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync, zstdDecompressSync } from "node:zlib";

/** A value as itself, in base64 wherever it starts in a group of three bytes, in hex, percent-encoded and in JSON. */
export function formsOf(value: string): readonly Buffer[] {
  const bytes = Buffer.from(value);
  const inBase64 = [0, 1, 2].flatMap((offset) => {
    const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString("base64");
    // The first and the last group depend on what stands around the value.
    const own = text.slice(offset === 0 ? 0 : 4, -4);
    return [own, own.replaceAll("+", "-").replaceAll("/", "_")];
  });
  const texts = [
    value,
    JSON.stringify(value).slice(1, -1),
    encodeURIComponent(value),
    bytes.toString("hex"),
    ...inBase64,
  ];
  return [...new Set(texts)].map((text) => Buffer.from(text));
}

/** True when the bytes, or what they are compressed from, have the value in one of its forms. */
export function hasValue(data: Uint8Array, value: string): boolean {
  const all = [Buffer.from(data.buffer, data.byteOffset, data.byteLength)];
  const [plain] = decompressed(data);
  if (plain !== undefined) all.push(plain);
  return all.some((bytes) => formsOf(value).some((form) => bytes.includes(form)));
}

/** Files below a directory that have the value, on its own file system: what is mounted there (tmpfs) is left out. */
export async function filesWith(root: string, value: string, except: readonly string[] = []): Promise<string[]> {
  const found: string[] = [];
  for await (const path of regularFiles(root, (await lstat(root)).dev, except)) {
    // A daemon at work removes files under our hands.
    const data = await readFile(path).catch(() => undefined);
    if (data !== undefined && hasValue(data, value)) found.push(path);
  }
  return found;
}

async function* regularFiles(directory: string, device: number, except: readonly string[]): AsyncGenerator<string> {
  const entries = await opendir(directory).catch(() => undefined);
  if (entries === undefined) return;
  for await (const entry of entries) {
    const path = join(directory, entry.name);
    if (except.includes(path)) continue;
    const found = await lstat(path).catch(() => undefined);
    if (found === undefined || found.dev !== device) continue;
    if (found.isDirectory()) yield* regularFiles(path, device, except);
    else if (found.isFile()) yield path;
  }
}

function decompressed(data: Uint8Array): Buffer[] {
  const magic = Buffer.from(data.subarray(0, 4)).toString("hex");
  try {
    if (magic.startsWith("1f8b")) return [gunzipSync(data)];
    if (magic === "28b52ffd") return [zstdDecompressSync(data)];
  } catch {
    // Still being written.
  }
  return [];
}
