import type { SessionGroup } from "../../core/seams/session-caller.ts";
import type { Descriptor } from "../../core/values/descriptor.ts";
import type { Digest } from "../../core/values/digest.ts";
import type { ImageSpec } from "../../core/values/image-reference.ts";

export interface CacheRegistryCall {
  readonly sessions: SessionGroup;
  readonly signal: AbortSignal;
  readonly insecure?: boolean;
}

/** What registry caches need of a registry client. Repositories carry their host. */
export interface CacheRegistry {
  resolve(spec: ImageSpec, call: CacheRegistryCall): Promise<Descriptor>;
  fetchJson(repository: string, descriptor: Descriptor, call: CacheRegistryCall): Promise<Uint8Array>;
  stat(repository: string, digest: Digest, call: CacheRegistryCall): Promise<Descriptor>;
  pushBlob(
    repository: string,
    descriptor: Descriptor,
    source: () => AsyncIterable<Uint8Array>,
    call: CacheRegistryCall,
  ): Promise<unknown>;
  pushManifest(
    repository: string,
    manifest: { readonly mediaType: string; readonly bytes: Uint8Array },
    call: CacheRegistryCall & { readonly tag?: string },
  ): Promise<unknown>;
}
