import { createCipheriv } from "node:crypto";

/** Bytes that do not compress, the same for the same seed. */
export async function* incompressible(size: number, seed: number): AsyncGenerator<Uint8Array> {
  const iv = Buffer.alloc(16);
  iv.writeUInt32BE(seed);
  const cipher = createCipheriv("aes-128-ctr", Buffer.alloc(16, "swarm"), iv);
  for (let at = 0; at < size; at += 1 << 20) yield cipher.update(Buffer.alloc(Math.min(1 << 20, size - at)));
}
