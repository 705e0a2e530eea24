import { posix } from "node:path";

/** Go's `path.Clean`: shortest equal path, no slash at the end, `.` for nothing. */
export function cleanPath(path: string): string {
  const normal = posix.normalize(path);
  return normal.length > 1 && normal.endsWith("/") ? normal.slice(0, -1) : normal;
}

/** Go's `path.Join`: empty parts are left out; nothing gives an empty string. */
export function joinPath(...parts: readonly string[]): string {
  const used = parts.filter((part) => part !== "");
  return used.length === 0 ? "" : cleanPath(used.join("/"));
}

/** Go's `path.Base`. */
export function basePath(path: string): string {
  if (path === "") return ".";
  const trimmed = path.replace(/\/+$/, "");
  return trimmed === "" ? "/" : trimmed.slice(trimmed.lastIndexOf("/") + 1);
}

/** Go's `path.Dir`. */
export function dirPath(path: string): string {
  return cleanPath(path.slice(0, path.lastIndexOf("/") + 1));
}
