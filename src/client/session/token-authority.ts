import { createHmac, createPrivateKey, createPublicKey, type KeyObject, randomBytes, sign } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** One key pair; sessions with the same login derive the same one. */
export interface AuthorityKey {
  /** 32 bytes, ed25519. */
  readonly publicKey: Uint8Array;
  /** NaCl's combined form: signature, then payload. */
  sign(payload: Uint8Array): Uint8Array;
}

/** PKCS #8 of an ed25519 key up to its 32 bytes of seed (RFC 8410, section 7). */
const pkcs8Prefix = Buffer.from("302e020100300506032b657004220420", "hex");
const publicKeyBytes = 32;

/**
 * Keys that let a daemon share a registry token between clients with the same login (BuildKit
 * session/auth/authprovider/tokenseed.go). Per host, a random seed is kept beside docker's configuration, in docker's file, so
 * that a daemon cannot work out the key from a salt of its choice.
 */
export class TokenAuthority {
  readonly #directory: string;
  readonly #seeds = new Map<string, Promise<Buffer>>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** @param hasLogin without one everybody has the same key, for anonymous tokens are everybody's */
  async key(host: string, salt: Uint8Array, hasLogin: boolean): Promise<AuthorityKey> {
    const mac = createHmac("sha256", salt);
    if (hasLogin) mac.update(await this.#seed(host));
    const privateKey = createPrivateKey({
      key: Buffer.concat([pkcs8Prefix, mac.digest()]),
      format: "der",
      type: "pkcs8",
    });
    return {
      publicKey: rawPublicKey(privateKey),
      sign: (payload) => Buffer.concat([sign(null, payload, privateKey), payload]),
    };
  }

  #seed(host: string): Promise<Buffer> {
    const known = this.#seeds.get(host);
    if (known !== undefined) return known;
    const seed = this.#load(host);
    this.#seeds.set(host, seed);
    return seed;
  }

  /** A file that cannot be kept costs only the sharing. */
  async #load(host: string): Promise<Buffer> {
    const path = join(this.#directory, ".token_seed");
    let seeds: Record<string, { Seed?: string }> = {};
    try {
      seeds = JSON.parse(await readFile(path, "utf8"));
    } catch {
      // Missing, or cut short by a crash.
    }
    const stored = seeds[host]?.Seed;
    if (typeof stored === "string") return Buffer.from(stored, "base64");
    const seed = randomBytes(16);
    try {
      await mkdir(this.#directory, { recursive: true });
      await writeFile(path, JSON.stringify({ ...seeds, [host]: { Seed: seed.toString("base64") } }, null, 2), {
        mode: 0o600,
      });
    } catch {
      // Read-only home.
    }
    return seed;
  }
}

function rawPublicKey(privateKey: KeyObject): Uint8Array {
  return createPublicKey(privateKey).export({ format: "der", type: "spki" }).subarray(-publicKeyBytes);
}
