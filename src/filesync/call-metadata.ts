import { isAscii } from "../filesystem/index.ts";

/**
 * Puts lists of text into request metadata: when one value of a key is not ASCII, all are query-escaped and
 * `<key>-encoded: 1` says so (BuildKit session/filesync encodeOpts).
 */
export function encodeCallMetadata(
  options: Readonly<Record<string, readonly string[]>>,
): Record<string, readonly string[]> {
  const metadata: Record<string, readonly string[]> = {};
  for (const [key, values] of Object.entries(options)) {
    const plain = values.every(isAscii);
    metadata[key] = plain ? values : values.map(queryEscape);
    if (!plain) metadata[`${key}-encoded`] = ["1"];
  }
  return metadata;
}

export function decodeCallMetadata(
  metadata: Readonly<Record<string, readonly string[]>>,
): Record<string, readonly string[]> {
  const options: Record<string, readonly string[]> = {};
  for (const [key, values] of Object.entries(metadata)) {
    const encoded = ["1", "t", "T", "TRUE", "true", "True"].includes(metadata[`${key}-encoded`]?.[0] ?? "");
    options[key] = encoded ? values.map(queryUnescape) : values;
  }
  return options;
}

/** Go url.QueryEscape: a space is `+`. */
function queryEscape(text: string): string {
  return encodeURIComponent(text)
    .replace(/[!'()*]/g, (ch) => `%${ch.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll("%20", "+");
}

function queryUnescape(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return "";
  }
}
