/** Text helpers with the meaning Go gives them, because error texts and word limits of a Dockerfile depend on it. */

/** Unicode White_Space, the set of Go's unicode.IsSpace (JavaScript's `\s` has U+FEFF instead of U+0085). */
export function isSpace(char: string): boolean {
  const code = char.charCodeAt(0);
  if (code < 0x80) return code === 0x20 || (code >= 0x09 && code <= 0x0d);
  return /^[\p{White_Space}]$/u.test(char);
}

export function trimSpaceStart(text: string): string {
  return text.replace(/^\p{White_Space}+/u, "");
}

export function trimSpace(text: string): string {
  let end = text.length;
  while (end > 0 && isSpace(text.charAt(end - 1))) end--;
  return trimSpaceStart(text.slice(0, end));
}

/** Text before and after the first `separator`; `after` is undefined when there is none. */
export function cut(text: string, separator: string): { readonly before: string; readonly after: string | undefined } {
  const at = text.indexOf(separator);
  if (at < 0) return { before: text, after: undefined };
  return { before: text.slice(0, at), after: text.slice(at + separator.length) };
}

const namedEscapes = new Map<number, string>([
  [0x07, "\\a"],
  [0x08, "\\b"],
  [0x09, "\\t"],
  [0x0a, "\\n"],
  [0x0b, "\\v"],
  [0x0c, "\\f"],
  [0x0d, "\\r"],
  [0x22, '\\"'],
  [0x5c, "\\\\"],
]);

/** The text in double quotes as Go's `%q` prints it. */
export function quote(text: string): string {
  let quoted = '"';
  for (const char of text) {
    const code = char.codePointAt(0) ?? 0;
    const named = namedEscapes.get(code);
    if (named !== undefined) quoted += named;
    else if (code === 0x20 || /[\p{L}\p{M}\p{N}\p{P}\p{S}]/u.test(char)) quoted += char;
    else if (code < 0x20 || code === 0x7f) quoted += `\\x${code.toString(16).padStart(2, "0")}`;
    else if (code >= 0xd800 && code <= 0xdfff) quoted += "\ufffd";
    else if (code < 0x10000) quoted += `\\u${code.toString(16).padStart(4, "0")}`;
    else quoted += `\\U${code.toString(16).padStart(8, "0")}`;
  }
  return `${quoted}"`;
}

/** Go's strconv.ParseBool; undefined for anything else. */
export function parseBool(text: string): boolean | undefined {
  if (["1", "t", "T", "TRUE", "true", "True"].includes(text)) return true;
  if (["0", "f", "F", "FALSE", "false", "False"].includes(text)) return false;
  return undefined;
}
