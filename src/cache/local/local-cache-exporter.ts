import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { ExportContext } from "../../core/seams/exporter.ts";
import type { CacheExporter, CacheExporterInstance, ExportedCache } from "../../core/seams/remote-cache.ts";
import type { Descriptor } from "../../core/values/descriptor.ts";
import { type CacheWriteOptions, parseCacheWriteOptions } from "../cache-attributes.ts";
import { type CacheDestination, writeCache } from "../write-cache.ts";
import { ClientContent } from "./client-content.ts";

/** `type=local`: an OCI layout in a directory of the client, who keeps its index.json (map g7). */
export class LocalCacheExporter implements CacheExporter {
  readonly type = "local";

  resolve(attrs: Readonly<Record<string, string>>): CacheExporterInstance {
    const { dest = "" } = attrs;
    if (dest === "") throw new BuildError(Code.InvalidArgument, "local cache exporter requires dest");
    return new LocalCacheExport(`local:${dest}`, parseCacheWriteOptions(attrs));
  }
}

class LocalCacheExport implements CacheExporterInstance {
  readonly name = "exporting cache to client directory";
  readonly #storeId: string;
  readonly #options: CacheWriteOptions;

  constructor(storeId: string, options: CacheWriteOptions) {
    this.#storeId = storeId;
    this.#options = options;
  }

  get compression() {
    return this.#options.compression;
  }

  async write(cache: ExportedCache, context: ExportContext): Promise<Readonly<Record<string, string>>> {
    const { sessionId, sessions, signal, progress, dispatcher, traceparent } = context;
    if (sessionId === "") {
      throw new BuildError(Code.FailedPrecondition, "local cache exporter/importer requires session");
    }
    const storeId = this.#storeId;
    const content = new ClientContent(await sessions.get(sessionId, { signal }), storeId);
    const writeDocument = async (descriptor: Descriptor, data: Uint8Array) => {
      await content.write(descriptor, () => once(data), signal);
    };
    const dispatch = { signal, progress, sessions, ...(traceparent === undefined ? {} : { traceparent }) };
    const destination: CacheDestination = {
      writeLayers: async (blobs, both) => {
        await dispatcher.run("export.content", { sessionId, storeId, blobs }, { ...dispatch, signal: both });
      },
      writeConfig: writeDocument,
      writeManifest: writeDocument,
    };
    return writeCache(cache, this.#options.form, destination, context);
  }
}

async function* once(data: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield data;
}
