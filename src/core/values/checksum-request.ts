/** Asks for the digest of an http source's file with some bytes after it. */
export interface ChecksumRequest {
  readonly algorithm: "sha256" | "sha384" | "sha512";
  readonly suffix: Uint8Array;
}
