export { checksum } from "./checksum.ts";
export { type ChecksumOptions, ContentHasher, type ContentHasherOptions } from "./content-hasher.ts";
export { fileDigestOf, hashFile, headerDigest, startFileDigest } from "./file-digest.ts";
