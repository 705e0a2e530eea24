import { createCipheriv } from "node:crypto";

/** Bytes that do not compress, the same in every run for the same seed. */
export class Keystream {
  readonly #cipher;

  constructor(seed: number) {
    const iv = Buffer.alloc(16);
    iv.writeUInt32BE(seed);
    this.#cipher = createCipheriv("aes-128-ctr", Buffer.alloc(16, "benchmark"), iv);
  }

  bytes(count: number): Buffer {
    return this.#cipher.update(Buffer.alloc(count));
  }
}

const vocabularySize = 4096;

/** Text that compresses about as well as source code does. */
export function sampleText(bytes: number, seed: number): Buffer {
  const words = new Keystream(1).bytes(vocabularySize * 6).toString("base64");
  const stream = new Keystream(seed);
  const text = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; ) {
    const random = stream.bytes(4096);
    for (let i = 0; i + 1 < random.length && at < bytes; i += 2) {
      const pick = random.readUInt16BE(i);
      const start = (pick % vocabularySize) * 8;
      at += text.write(`${words.slice(start, start + 2 + (pick >> 12) / 3)} `, at, "latin1");
    }
  }
  return text;
}
