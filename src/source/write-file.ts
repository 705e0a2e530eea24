import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { chmod, chown, open, utimes } from "node:fs/promises";
import { join } from "node:path";
import type { Digest } from "../core/values/digest.ts";
import { defaultFilePerm, type FileAttributes } from "./file-attributes.ts";

/**
 * Streams bytes into a new file of a directory and sets owner, mode and time.
 * @param name a plain file name
 * @returns sha256 of what was written
 */
export async function writeSourceFile(
  directory: string,
  name: string,
  bytes: AsyncIterable<Uint8Array>,
  attributes: FileAttributes & { readonly mtimeMs: number },
): Promise<Digest> {
  const path = join(directory, name);
  const hash = createHash("sha256");
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  {
    await using file = await open(path, flags, defaultFilePerm);
    for await (const chunk of bytes) {
      hash.update(chunk);
      await file.writeFile(chunk);
    }
  }
  if (attributes.uid !== 0 || attributes.gid !== 0) await chown(path, attributes.uid, attributes.gid);
  await chmod(path, (attributes.perm === 0 ? defaultFilePerm : attributes.perm) & 0o777);
  await utimes(path, attributes.mtimeMs / 1000, attributes.mtimeMs / 1000);
  return `sha256:${hash.digest("hex")}` as Digest;
}
