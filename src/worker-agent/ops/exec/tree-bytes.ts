import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";

const blockBytes = 512;

/** Bytes on disk of a tree; hard links count once. Files that go away meanwhile count as nothing. */
export async function treeBytes(root: string): Promise<number> {
  const seen = new Set<string>();
  let total = 0;
  const pending = [root];
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    try {
      const stat = await lstat(path);
      if (stat.isDirectory()) for (const name of await readdir(path)) pending.push(join(path, name));
      else if (stat.nlink > 1) {
        const inode = `${stat.dev}:${stat.ino}`;
        if (seen.has(inode)) continue;
        seen.add(inode);
      }
      total += stat.blocks * blockBytes;
    } catch {
      // Gone.
    }
  }
  return total;
}
