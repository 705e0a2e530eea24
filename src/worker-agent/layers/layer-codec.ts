import type { Descriptor } from "../../core/values/descriptor.ts";
import type { Digest } from "../../core/values/digest.ts";
import type { Compression } from "../../core/values/task.ts";

/** A layer blob that is to be converted. */
export interface PackedBytes {
  readonly bytes: AsyncIterable<Uint8Array>;
  /** An eStargz blob begins as a gzip does, so its first bytes do not tell. */
  readonly isEstargz: boolean;
}

/** Turns layer directories into blobs and back. */
export interface LayerCodec {
  /**
   * Unpacks a layer blob (any compression, told by its first bytes) into an empty directory in overlay form.
   * Reads the bytes to their end, also past the end of the archive: only then is their digest proven.
   * @param lower directories of the layers below, top first; needed for hard links into them
   * @returns sha256 of the uncompressed tar
   * @throws BuildError DataLoss or InvalidArgument for bytes that are no valid or safe layer
   */
  apply(
    bytes: AsyncIterable<Uint8Array>,
    directory: string,
    lower: () => Promise<readonly string[]>,
    signal: AbortSignal,
  ): Promise<Digest>;

  /** Cuts a layer directory into a blob in the content store. The descriptor carries `containerd.io/uncompressed`. */
  pack(directory: string, compression: Compression, signal: AbortSignal): Promise<Descriptor>;

  /** Converts a layer blob to another compression or other times, its entries left as they are. */
  repack(blob: PackedBytes, compression: Compression, signal: AbortSignal): Promise<Descriptor>;

  /** The layer as a tar which keeps what OCI's form rounds or drops (nanoseconds, all attributes): for other agents. */
  archive(directory: string, form: "exact", signal: AbortSignal): AsyncIterable<Uint8Array>;
}
