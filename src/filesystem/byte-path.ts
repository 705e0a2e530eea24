/**
 * A path whose characters are bytes (code units 0–255), so that names which are not UTF-8 survive and `<` sorts as Go's byte
 * order does. ASCII paths look the same in both worlds; only the edges (wire, LLB, patterns) convert.
 */
export type BytePath = string;

// biome-ignore lint/suspicious/noControlCharactersInRegex: the question is precisely "is it ASCII"
const nonAscii = /[^\x00-\x7f]/;

export function isAscii(text: string): boolean {
  return !nonAscii.test(text);
}

/** For calls of node:fs. */
export function fsPath(path: BytePath): string | Buffer {
  return nonAscii.test(path) ? Buffer.from(path, "latin1") : path;
}

/** Bytes of a path for calls that want a C string. */
export function pathBytes(path: BytePath): Buffer {
  return Buffer.from(path, "latin1");
}

export function bytePath(text: string): BytePath {
  return nonAscii.test(text) ? Buffer.from(text, "utf8").toString("latin1") : text;
}

/** Invalid UTF-8 becomes U+FFFD. */
export function textPath(path: BytePath): string {
  return nonAscii.test(path) ? Buffer.from(path, "latin1").toString("utf8") : path;
}
