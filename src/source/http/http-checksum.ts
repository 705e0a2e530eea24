import { createHash } from "node:crypto";
import type { ChecksumRequest } from "../../core/values/checksum-request.ts";

/**
 * Digest of a file followed by the suffix, as signatures of files are made over both: a policy checks one with it and never
 * sees the file (BuildKit source/http/source.go computeChecksumResponse).
 */
export async function checksumOf(
  content: AsyncIterable<Uint8Array>,
  { algorithm, suffix }: ChecksumRequest,
): Promise<string> {
  const hash = createHash(algorithm);
  for await (const chunk of content) hash.update(chunk);
  return `${algorithm}:${hash.update(suffix).digest("hex")}`;
}
