import { createHash, randomBytes } from "node:crypto";

/** Length and alphabet of BuildKit's ids (identity.NewID): 25 characters of base 36, some 128 bits. */
const length = 25;

export function randomId(): string {
  return toId(randomBytes(17));
}

/** The id that belongs to a text: the same for the same text. */
export function idOf(text: string): string {
  return toId(createHash("sha256").update(text).digest().subarray(0, 17));
}

function toId(bytes: Uint8Array): string {
  return BigInt(`0x${Buffer.from(bytes).toString("hex")}`)
    .toString(36)
    .padStart(length, "0")
    .slice(-length);
}
