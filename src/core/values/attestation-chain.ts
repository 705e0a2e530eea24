import type { Descriptor } from "./descriptor.ts";
import type { Digest } from "./digest.ts";

/**
 * What speaks for an image, for a policy to judge: its attestation manifest, what signs that, and the statements that were
 * asked for (BuildKit client/llb/sourceresolver AttestationChain). All of it is verified against digests, none of it believed.
 */
export interface AttestationChain {
  /** The image index. */
  readonly root: Digest;
  /** Manifest for the platform asked for; not among the blobs. */
  readonly imageManifest: Digest;
  readonly attestationManifest?: Digest;
  readonly signatureManifests: readonly Digest[];
  readonly blobs: ReadonlyMap<Digest, { readonly descriptor: Descriptor; readonly data: Uint8Array }>;
}
