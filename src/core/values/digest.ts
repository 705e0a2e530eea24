import { createHash, hash } from "node:crypto";
import { BuildError } from "../errors/build-error.ts";
import { Code } from "../errors/code.ts";

/** `algorithm:hex`, e.g. `sha256:9f86d0…` (OCI image spec, descriptor.md). Made only by the functions below. */
export type Digest = string & { readonly __brand: "Digest" };

const pattern = /^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[A-Za-z0-9=_-]+$/;
const hexLengths: Record<string, number> = { sha256: 64, sha384: 96, sha512: 128 };

/** Checks the text form of a digest. @throws BuildError InvalidArgument */
export function parseDigest(text: string): Digest {
  if (!isDigest(text)) throw new BuildError(Code.InvalidArgument, `invalid digest ${JSON.stringify(text)}`);
  return text;
}

export function isDigest(text: string): text is Digest {
  if (!pattern.test(text)) return false;
  const at = text.indexOf(":");
  const length = hexLengths[text.slice(0, at)];
  const hex = text.slice(at + 1);
  return length !== undefined && hex.length === length && /^[a-f0-9]+$/.test(hex);
}

/** sha256 of bytes or of UTF-8 text. */
export function sha256(data: Uint8Array | string): Digest {
  return `sha256:${hash("sha256", data, "hex")}` as Digest;
}

/** Streaming sha256: `update` as often as needed, then `digest` once. */
export class Sha256 {
  readonly #hash = createHash("sha256");

  update(data: Uint8Array | string): this {
    this.#hash.update(data);
    return this;
  }

  digest(): Digest {
    return `sha256:${this.#hash.digest("hex")}` as Digest;
  }
}

/** The hex part, for file names. */
export function digestHex(digest: Digest): string {
  return digest.slice(digest.indexOf(":") + 1);
}
