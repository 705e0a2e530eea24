/** Shorter values would turn half the log into stars and hide nothing. */
const minSecretBytes = 4;

const stars = Buffer.from("***");

/**
 * Replaces secrets in one output stream by `***`, also where they lie across two writes: bytes that may be the start of a secret
 * are held back until it is clear. Each line of a secret is a secret as well: tools print keys line by line.
 */
export class SecretMask {
  readonly #secrets: readonly Buffer[];
  #held: Buffer = Buffer.alloc(0);

  constructor(secrets: Iterable<Uint8Array>) {
    const values = new Set<string>();
    for (const secret of secrets) {
      const text = Buffer.from(secret).toString("latin1");
      for (const value of [text.replace(/[\r\n]+$/, ""), ...text.split(/[\r\n]+/).map((line) => line.trim())]) {
        if (value.length >= minSecretBytes) values.add(value);
      }
    }
    this.#secrets = [...values].map((value) => Buffer.from(value, "latin1"));
  }

  /** @returns what can be shown so far */
  add(data: Uint8Array): Uint8Array {
    if (this.#secrets.length === 0) return data;
    return this.#mask(Buffer.concat([this.#held, data]), true);
  }

  /** @returns what was held back */
  end(): Uint8Array {
    return this.#mask(this.#held, false);
  }

  /** The first secret from the left is taken, of those that start at one place the longest; none while a longer one may come. */
  #mask(data: Buffer, more: boolean): Buffer {
    const shown: Buffer[] = [];
    const found = new Map<Buffer, number>(this.#secrets.map((secret) => [secret, -1]));
    let from = 0;
    let open = more ? this.#openTail(data, from) : data.length;
    for (;;) {
      const match = nextMatch(data, found, from);
      if (match === undefined || match.start > open || (match.start === open && more)) break;
      shown.push(data.subarray(from, match.start), stars);
      from = match.start + match.length;
      if (from > open) open = this.#openTail(data, from);
    }
    shown.push(data.subarray(from, open));
    this.#held = data.subarray(open);
    return Buffer.concat(shown);
  }

  /** Where the longest end of `data` begins that a secret begins with. */
  #openTail(data: Buffer, from: number): number {
    let open = data.length;
    for (const secret of this.#secrets) {
      const first = secret[0] ?? 0;
      let at = data.indexOf(first, Math.max(from, data.length - secret.length + 1));
      for (; at >= 0 && at < open; at = data.indexOf(first, at + 1)) {
        if (secret.compare(data, at, data.length, 0, data.length - at) === 0) open = at;
      }
    }
    return open;
  }
}

/** A whole text with secrets replaced. */
export function maskSecrets(text: string, secrets: Iterable<Uint8Array>): string {
  const mask = new SecretMask(secrets);
  return Buffer.concat([mask.add(Buffer.from(text)), mask.end()]).toString();
}

/**
 * The leftmost secret at or after `from`; of several there the longest.
 *
 * @param found where each secret was found last: what is not in the data is looked for once
 */
function nextMatch(data: Buffer, found: Map<Buffer, number>, from: number) {
  let best: { readonly start: number; readonly length: number } | undefined;
  for (const [secret, last] of found) {
    const start = last >= from ? last : data.indexOf(secret, from);
    if (start < 0) {
      found.delete(secret);
      continue;
    }
    found.set(secret, start);
    if (best === undefined || start < best.start || (start === best.start && secret.length > best.length)) {
      best = { start, length: secret.length };
    }
  }
  return best;
}
