import type { Dirent } from "node:fs";
import { chmod, lstat, readdir, rename, rm, utimes } from "node:fs/promises";

/**
 * Moves the entries of one directory into another on the same filesystem. Directories that are in both are merged; anything
 * else in the way is replaced, links included, so nothing is ever written through a link.
 */
export async function mergeTree(from: string, to: string, options: { readonly deleteOthers: boolean }): Promise<void> {
  await merge(Buffer.from(from), Buffer.from(to), options.deleteOthers, Buffer.from(from));
}

async function merge(from: Buffer, to: Buffer, deleteOthers: boolean, keep: Buffer): Promise<void> {
  const entries = await list(from);
  if (deleteOthers) {
    const names = new Set(entries.map((entry) => entry.name.toString("latin1")));
    for (const { name } of await list(to)) {
      const path = child(to, name);
      if (!names.has(name.toString("latin1")) && !path.equals(keep)) await rm(path, { recursive: true, force: true });
    }
  }
  for (const entry of entries) {
    const source = child(from, entry.name);
    const target = child(to, entry.name);
    const there = await lstat(target).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    });
    if (entry.isDirectory() && there?.isDirectory()) {
      await merge(source, target, deleteOthers, keep);
      const { mode, atime, mtime } = await lstat(source);
      await chmod(target, mode & 0o7777);
      await utimes(target, atime, mtime);
      continue;
    }
    if (there?.isDirectory() || (there !== undefined && entry.isDirectory())) {
      await rm(target, { recursive: true, force: true });
    }
    await rename(source, target);
  }
}

async function list(directory: Buffer): Promise<Dirent<Buffer>[]> {
  return readdir(directory, { encoding: "buffer", withFileTypes: true });
}

function child(directory: Buffer, name: Buffer): Buffer {
  return Buffer.concat([directory, Buffer.from("/"), name]);
}
