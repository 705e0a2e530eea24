import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";

/** The deepest document of a cache, an image config with history, has five levels. */
const maxDepth = 64;
/** Three bytes of JSON can become a hundred of memory; a config of 16 MiB as caches have them holds 350,000. */
const maxContainers = 500_000;
const maxShownLength = 80;

/**
 * JSON that anybody may have written.
 * @param what for errors: `cache config`
 * @throws BuildError InvalidArgument when it is none, or holds more objects and lists than any real one
 */
export function parseCacheJson(bytes: Uint8Array, what: string): unknown {
  try {
    checkShape(bytes);
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new BuildError(Code.InvalidArgument, `invalid ${what}: ${shown((cause as Error).message)}`, { cause });
  }
}

/** A value for an error message, which may be as long as the document. */
export function shown(value: unknown): string {
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? String(value));
  return text.length > maxShownLength ? `${text.slice(0, maxShownLength)}…` : text;
}

function checkShape(bytes: Uint8Array): void {
  let depth = 0;
  let containers = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === quote) at = endOfString(bytes, at);
    else if (byte === openList || byte === openObject) {
      if (++depth > maxDepth) throw new Error(`more than ${maxDepth} levels`);
      if (++containers > maxContainers) throw new Error(`more than ${maxContainers} objects and lists`);
    } else if (byte === closeList || byte === closeObject) depth--;
  }
}

function endOfString(bytes: Uint8Array, start: number): number {
  for (let at = start + 1; at < bytes.length; at++) {
    if (bytes[at] === backslash) at++;
    else if (bytes[at] === quote) return at;
  }
  return bytes.length;
}

const [quote, backslash, openList, closeList, openObject, closeObject] = Buffer.from('"\\[]{}');
