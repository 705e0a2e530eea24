/** Shorter values would turn half the log into stars and hide nothing. */
const minSecretBytes = 4;

const stars = Buffer.from("***");

/**
 * Replaces secrets in one output stream by `***`, also where they lie across two writes: bytes that may be the start of a secret
 * are held back until it is clear.
 */
export class SecretMask {
  readonly #secrets: readonly Buffer[];
  #held: Buffer = Buffer.alloc(0);

  constructor(secrets: Iterable<Uint8Array>) {
    const values = new Map<string, Buffer>();
    for (const secret of secrets) {
      const value = trimEnd(Buffer.from(secret));
      if (value.length >= minSecretBytes) values.set(value.toString("latin1"), value);
    }
    // Longest first: one secret may contain another.
    this.#secrets = [...values.values()].sort((a, b) => b.length - a.length);
  }

  /** @returns what can be shown so far */
  add(data: Uint8Array): Uint8Array {
    if (this.#secrets.length === 0) return data;
    const masked = this.#replace(Buffer.concat([this.#held, data]));
    const keep = this.#openTail(masked);
    this.#held = masked.subarray(masked.length - keep);
    return masked.subarray(0, masked.length - keep);
  }

  /** @returns what was held back */
  end(): Uint8Array {
    const rest = this.#held;
    this.#held = Buffer.alloc(0);
    return rest;
  }

  #replace(data: Buffer): Buffer {
    let result = data;
    for (const secret of this.#secrets) {
      let at = result.indexOf(secret);
      if (at < 0) continue;
      const parts: Buffer[] = [];
      let from = 0;
      for (; at >= 0; at = result.indexOf(secret, from)) {
        parts.push(result.subarray(from, at), stars);
        from = at + secret.length;
      }
      result = Buffer.concat([...parts, result.subarray(from)]);
    }
    return result;
  }

  /** Length of the longest end of `data` that a secret begins with. */
  #openTail(data: Buffer): number {
    let longest = 0;
    for (const secret of this.#secrets) {
      for (let length = Math.min(secret.length - 1, data.length); length > longest; length--) {
        if (data.subarray(data.length - length).equals(secret.subarray(0, length))) longest = length;
      }
    }
    return longest;
  }
}

/** Tools print a secret without the newline its file ends with. */
function trimEnd(value: Buffer): Buffer {
  let end = value.length;
  while (end > 0 && (value[end - 1] === 0x0a || value[end - 1] === 0x0d)) end--;
  return value.subarray(0, end);
}
