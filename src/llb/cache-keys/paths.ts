import { posix } from "node:path";

/** Go's `path.Join("/", path)`: absolute and clean. */
export function absolutePath(path: string): string {
  const clean = posix.normalize(`/${path}`);
  return clean.length > 1 && clean.endsWith("/") ? clean.slice(0, -1) : clean;
}

/** Go's `path.Base`: `.` for nothing, `/` for only slashes. */
export function baseName(path: string): string {
  if (path === "") return ".";
  return posix.basename(path) || "/";
}

/** Drops paths that lie below another of the list, and repetitions; sorted. A single path stays as it is. */
export function outermostPaths(paths: readonly string[]): string[] {
  if (paths.length <= 1) return [...paths];
  const unique = [...new Set(paths)];
  const parents = unique.map((path) => ({ path, prefix: path.endsWith("/") ? path : `${path}/` }));
  return unique
    .filter((path) => !parents.some((parent) => parent.path !== path && path.startsWith(parent.prefix)))
    .sort(compareBytes);
}

/** Order of UTF-8 bytes, as Go compares strings. */
export function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
