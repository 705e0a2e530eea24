import { goQuote } from "../util/go-quote.ts";

/** Lexical path functions with the results of Go's path/filepath on Unix, where node:path differs (trailing slashes). */

/** Go `filepath.Clean`: never ends in `/` except for the root; empty becomes `.`. */
export function cleanPath(path: string): string {
  if (path === "") return ".";
  const rooted = path.startsWith("/");
  const out: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") {
      if (out.length > 0 && out[out.length - 1] !== "..") out.pop();
      else if (!rooted) out.push("..");
      continue;
    }
    out.push(part);
  }
  const joined = out.join("/");
  if (rooted) return `/${joined}`;
  return joined === "" ? "." : joined;
}

/** Go `filepath.Join`: empty parts are skipped; nothing at all gives the empty path. */
export function joinPath(...parts: readonly string[]): string {
  const used = parts.filter((part) => part !== "");
  return used.length === 0 ? "" : cleanPath(used.join("/"));
}

/** Go `filepath.Split`: the directory keeps its slash. */
export function splitPath(path: string): readonly [directory: string, file: string] {
  const at = path.lastIndexOf("/");
  return [path.slice(0, at + 1), path.slice(at + 1)];
}

/** Go `filepath.Dir`. */
export function dirPath(path: string): string {
  return cleanPath(path.slice(0, path.lastIndexOf("/") + 1));
}

/** Go `filepath.Base`: trailing slashes are dropped, empty gives `.`, only slashes give `/`. */
export function basePath(path: string): string {
  if (path === "") return ".";
  const trimmed = path.replace(/\/+$/, "");
  if (trimmed === "") return "/";
  return trimmed.slice(trimmed.lastIndexOf("/") + 1);
}

/** True for `*`, `?` and `[` that are not behind a backslash. */
export function containsWildcards(name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    const ch = name[i];
    if (ch === "\\") i++;
    else if (ch === "*" || ch === "?" || ch === "[") return true;
  }
  return false;
}

/** Splits before the first component with a wildcard: `/a/b/*.txt` → `/a/b`, `*.txt`. An absolute path keeps its root. */
export function splitWildcards(path: string): readonly [prefix: string, pattern: string] {
  const parts = joinPath(path).split("/");
  let first = parts.findIndex(containsWildcards);
  if (first < 0) first = parts.length;
  const named = parts.map((part) => (part === "" ? "/" : part));
  return [joinPath(...named.slice(0, first)), joinPath(...named.slice(first))];
}

/** fsutil ComparePath: bytes, with `/` below everything, so that a directory's content follows it at once. */
export function comparePaths(a: string, b: string): number {
  const n = Math.min(a.length, b.length);
  for (let i = 0; i < n; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    if (x === 47) return -1;
    if (y === 47) return 1;
    return x - y;
  }
  return a.length - b.length;
}

/** Go's `%q` of a byte path. */
export function quotePath(bytes: string): string {
  return goQuote(Buffer.from(bytes, "latin1").toString("utf8"));
}
