import { createHash } from "node:crypto";
import { lstat, readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";

/** sha256 over names, modes, link targets and contents below a directory; times and owners left out. */
export async function treeDigest(directory: string): Promise<string> {
  const hash = createHash("sha256");
  for (const path of (await readdir(directory, { recursive: true })).sort()) {
    const file = join(directory, path);
    const { mode } = await lstat(file);
    hash.update(`${path}\0${mode.toString(8)}\0`);
    const type = mode & 0o170000;
    if (type === 0o100000)
      hash.update(
        createHash("sha256")
          .update(await readFile(file))
          .digest(),
      );
    if (type === 0o120000) hash.update(await readlink(file));
  }
  return hash.digest("hex");
}
