import { mkdir, open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Keystream, sampleText } from "./keystream.ts";

const mebibyte = 1 << 20;
/** Longer than any window of the compressors, so that repeating it is no gift to them. */
const textBytes = 16 * mebibyte;

/**
 * Fills `directory` with files of 10 MiB in `parts` subdirectories `0`, `1`, …: half of them do not compress, half are text.
 * @returns bytes written
 */
export async function writeBigTree(directory: string, bytes: number, parts: number): Promise<number> {
  const text = sampleText(textBytes, 2);
  const fileBytes = Math.min(10 * mebibyte, Math.floor(bytes / parts / 2));
  const files = Math.round(bytes / fileBytes);
  for (let index = 0; index < files; index++) {
    const part = join(directory, String(index % parts));
    await mkdir(part, { recursive: true });
    await using file = await open(join(part, `${index}.bin`), "w");
    const random = new Keystream(100 + index);
    const isText = Math.floor(index / parts) % 2 === 1;
    for (let at = 0; at < fileBytes; ) {
      const size = Math.min(mebibyte, fileBytes - at);
      const start = ((index * 7 + at / mebibyte) * mebibyte) % (textBytes - mebibyte);
      await file.write(isText ? text.subarray(start, start + size) : random.bytes(size));
      at += size;
    }
  }
  return files * fileBytes;
}

/**
 * Fills `directory` with small files of text, 100 to a directory, 0.2 to 8 KB each.
 * @returns bytes written
 */
export async function writeManyFiles(directory: string, files: number): Promise<number> {
  const text = sampleText(mebibyte, 3);
  const sizes = new Keystream(4).bytes(files * 2);
  let bytes = 0;
  for (let start = 0; start < files; start += 100) {
    const folder = join(directory, `package-${Math.floor(start / 1000)}`, `module-${start / 100}`);
    await mkdir(folder, { recursive: true });
    const count = Math.min(100, files - start);
    await Promise.all(
      Array.from({ length: count }, (_, i) => {
        const index = start + i;
        const size = 200 + (sizes.readUInt16BE(index * 2) % 7800);
        const from = (index * 997) % (text.length - size);
        bytes += size;
        return writeFile(join(folder, `file-${index}.ts`), text.subarray(from, from + size));
      }),
    );
  }
  return bytes;
}
