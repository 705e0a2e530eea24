/** Key of the tokens that the benchmark's two processes use. */
export const blobServerKey = Buffer.alloc(32, "benchmark");
