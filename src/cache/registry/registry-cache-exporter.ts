import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { ExportContext } from "../../core/seams/exporter.ts";
import type { CacheExporter, CacheExporterInstance, ExportedCache } from "../../core/seams/remote-cache.ts";
import {
  type NamedReference,
  parseNamedReference,
  repositoryName,
  withDefaultTag,
} from "../../core/values/image-reference.ts";
import { type CacheWriteOptions, parseCacheFlag, parseCacheWriteOptions } from "../cache-attributes.ts";
import { type CacheDestination, writeCache } from "../write-cache.ts";
import type { CacheRegistry } from "./cache-registry.ts";

/** `type=registry`: agents push the layers, config and manifest come from here (map g6). */
export class RegistryCacheExporter implements CacheExporter {
  readonly type = "registry";
  readonly #registry: CacheRegistry;

  constructor(registry: CacheRegistry) {
    this.#registry = registry;
  }

  resolve(attrs: Readonly<Record<string, string>>): CacheExporterInstance {
    const options = parseCacheWriteOptions(attrs);
    const { ref = "" } = attrs;
    if (ref === "") throw new BuildError(Code.InvalidArgument, "missing ref");
    const insecure = parseCacheFlag(attrs, "registry.insecure", false);
    return new RegistryCacheExport(this.#registry, withDefaultTag(parseNamedReference(ref)), insecure, options);
  }
}

class RegistryCacheExport implements CacheExporterInstance {
  readonly name = "exporting cache to registry";
  readonly #registry: CacheRegistry;
  readonly #reference: NamedReference;
  readonly #insecure: boolean;
  readonly #options: CacheWriteOptions;

  constructor(registry: CacheRegistry, reference: NamedReference, insecure: boolean, options: CacheWriteOptions) {
    this.#registry = registry;
    this.#reference = reference;
    this.#insecure = insecure;
    this.#options = options;
  }

  get compression() {
    return this.#options.compression;
  }

  async write(cache: ExportedCache, context: ExportContext): Promise<Readonly<Record<string, string>>> {
    const { sessions, signal, progress, dispatcher, traceparent } = context;
    const repository = repositoryName(this.#reference);
    const insecure = this.#insecure;
    const call = { sessions, signal, insecure };
    const dispatch = { signal, progress, sessions, ...(traceparent === undefined ? {} : { traceparent }) };
    const target = { repository, insecure, sessionIds: sessions.ids };
    const { tag } = this.#reference;
    const destination: CacheDestination = {
      writeLayers: async (blobs, both) => {
        await dispatcher.run("push", { target, blobs }, { ...dispatch, signal: both });
      },
      writeConfig: async (descriptor, data) => {
        await this.#registry.pushBlob(repository, descriptor, () => once(data), call);
      },
      writeManifest: async ({ mediaType }, bytes) => {
        await this.#registry.pushManifest(
          repository,
          { mediaType, bytes },
          tag === undefined ? call : { ...call, tag },
        );
      },
    };
    return writeCache(cache, this.#options.form, destination, context);
  }
}

async function* once(data: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield data;
}
