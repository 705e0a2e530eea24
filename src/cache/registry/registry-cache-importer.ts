import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { CacheImportCall, CacheImporter, CacheSource } from "../../core/seams/remote-cache.ts";
import type { Descriptor } from "../../core/values/descriptor.ts";
import {
  formatNamedReference,
  parseImageSpec,
  parseNamedReference,
  repositoryName,
  withDefaultTag,
} from "../../core/values/image-reference.ts";
import type { BlobOrigin } from "../../core/values/layer.ts";
import { parseCacheFlag } from "../cache-attributes.ts";
import type { CacheRegistry, CacheRegistryCall } from "./cache-registry.ts";

/** `type=registry`: a cache manifest, or an image with an inline cache (map g6). */
export class RegistryCacheImporter implements CacheImporter {
  readonly type = "registry";
  readonly #registry: CacheRegistry;

  constructor(registry: CacheRegistry) {
    this.#registry = registry;
  }

  async open(attrs: Readonly<Record<string, string>>, call: CacheImportCall): Promise<CacheSource> {
    const { ref = "" } = attrs;
    if (ref === "") throw new BuildError(Code.InvalidArgument, "missing ref");
    const name = withDefaultTag(parseNamedReference(ref));
    const registryCall = { ...call, insecure: parseCacheFlag(attrs, "registry.insecure", false) };
    const root = await this.#registry.resolve(parseImageSpec(formatNamedReference(name)), registryCall);
    return new RegistryCacheSource(this.#registry, repositoryName(name), root, registryCall);
  }
}

class RegistryCacheSource implements CacheSource {
  readonly root: Descriptor;
  readonly #registry: CacheRegistry;
  readonly #repository: string;
  readonly #call: CacheRegistryCall;

  constructor(registry: CacheRegistry, repository: string, root: Descriptor, call: CacheRegistryCall) {
    this.root = root;
    this.#registry = registry;
    this.#repository = repository;
    this.#call = call;
  }

  read(descriptor: Descriptor, signal: AbortSignal): Promise<Uint8Array> {
    return this.#registry.fetchJson(this.#repository, descriptor, { ...this.#call, signal });
  }

  origin(descriptor: Descriptor): BlobOrigin {
    return { kind: "registry", repository: this.#repository, descriptor };
  }

  async has({ digest, size }: Descriptor, signal: AbortSignal): Promise<boolean> {
    try {
      const found = await this.#registry.stat(this.#repository, digest, { ...this.#call, signal });
      // Some registries do not say.
      return found.size === size || found.size <= 0;
    } catch (error) {
      signal.throwIfAborted();
      if (BuildError.from(error).code === Code.NotFound) return false;
      throw error;
    }
  }
}
