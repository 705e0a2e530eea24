import { lstatSync, readlinkSync } from "node:fs";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { type ByteString, byteStringFrom, joinBytes, toBytes, toText } from "../../util/sys/index.ts";

/** A layer archive asks for something impossible or not allowed. */
export class InvalidLayerError extends BuildError {
  constructor(path: ByteString, reason: string, cause?: unknown) {
    super(Code.InvalidArgument, `invalid layer: ${JSON.stringify(toText(path))}: ${reason}`, { cause });
  }
}

const maxLinks = 255;

/**
 * Names of a path from the root, with `.`, `..` and repeated slashes taken out; `..` does not lead above the root.
 * @throws InvalidLayerError for names no file can have
 */
export function splitPath(path: ByteString): ByteString[] {
  const parts: ByteString[] = [];
  for (const part of path.split("/") as ByteString[]) {
    if (part === "" || part === ".") continue;
    if (part === "..") {
      parts.pop();
      continue;
    }
    if (part.includes("\0")) throw new InvalidLayerError(path, "name holds a NUL byte");
    if (part.length > 255) throw new InvalidLayerError(path, "file name too long");
    parts.push(part);
  }
  return parts;
}

/**
 * Resolves directories inside a root, as a process chrooted there would: links are followed, absolute ones from the root, and
 * nothing leads outside. What does not exist, or is a whiteout, stays as it is written. Nobody else may change the tree meanwhile.
 */
export class RootedPaths {
  readonly #root: ByteString;
  /** Paths relative to the root that are known to be real directories. */
  readonly #directories = new Set<ByteString>();

  constructor(root: ByteString) {
    this.#root = root;
  }

  host(relative: ByteString): ByteString {
    return joinBytes(this.#root, relative);
  }

  /** To be called when something at or above a known directory was removed. */
  forget(): void {
    this.#directories.clear();
  }

  /** Real place of a directory, relative to the root. @throws InvalidLayerError on a loop of links */
  resolve(parts: readonly ByteString[]): ByteString {
    const direct = parts.join("/") as ByteString;
    if (direct === "" || this.#directories.has(direct)) return direct;
    const pending = [...parts].reverse();
    const real: ByteString[] = [];
    let links = 0;
    for (let part = pending.pop(); part !== undefined; part = pending.pop()) {
      if (part === "..") {
        real.pop();
        continue;
      }
      const relative = [...real, part].join("/") as ByteString;
      const stat = lstatSync(toBytes(this.host(relative)), { throwIfNoEntry: false });
      if (stat?.isSymbolicLink()) {
        if (++links > maxLinks) throw new InvalidLayerError(direct, "too many links");
        const target = byteStringFrom(readlinkSync(toBytes(this.host(relative)), "buffer"));
        if (target.startsWith("/")) real.length = 0;
        for (const step of (target.split("/") as ByteString[]).reverse()) {
          if (step !== "" && step !== ".") pending.push(step);
        }
        continue;
      }
      if (stat !== undefined && !stat.isDirectory() && !(stat.isCharacterDevice() && stat.rdev === 0)) {
        throw new InvalidLayerError(direct, "a parent is not a directory");
      }
      if (stat?.isDirectory()) this.#directories.add(relative);
      real.push(part);
    }
    return real.join("/") as ByteString;
  }
}
