export { checksum } from "./checksum.ts";
export { type ChecksumOptions, ContentHasher, type ContentHasherOptions } from "./content-hasher.ts";
export {
  type ContentListing,
  compareListings,
  decodeListing,
  encodeListing,
  type FileChange,
} from "./content-listing.ts";
export { fileDigestOf, hashFile, headerDigest, startFileDigest } from "./file-digest.ts";
