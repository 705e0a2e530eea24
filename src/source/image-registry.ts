import type { SessionGroup } from "../core/seams/session-caller.ts";
import type { Descriptor } from "../core/values/descriptor.ts";
import type { Digest } from "../core/values/digest.ts";
import type { ImageSpec } from "../core/values/image-reference.ts";

/** For whom a source works, and how long. */
export interface SourceCall {
  readonly sessions: SessionGroup;
  readonly signal: AbortSignal;
}

/** What the sources need of a registry client (src/registry's RegistryClient). Repositories carry their host. */
export interface ImageRegistry {
  resolve(spec: ImageSpec, call: SourceCall): Promise<Descriptor>;
  fetchJson(repository: string, descriptor: Descriptor, call: SourceCall): Promise<Uint8Array>;
  /** What says that it is about a manifest. */
  referrers(repository: string, digest: Digest, call: SourceCall): Promise<readonly Descriptor[]>;
  /** Verified; a cut stream is resumed. */
  blob(
    repository: string,
    descriptor: Descriptor,
    call: SourceCall & { readonly offset?: number },
  ): AsyncIterable<Uint8Array>;
  /** Descriptor of a blob known by digest alone; size -1 when the registry does not tell. */
  stat(repository: string, digest: Digest, call: SourceCall): Promise<Descriptor>;
}
