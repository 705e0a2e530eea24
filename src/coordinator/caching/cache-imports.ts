import { setImmediate } from "node:timers/promises";
import { importCache, joinCaches } from "../../cache/index.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { CacheKeyStorage, CacheResultStorage } from "../../core/seams/cache-storage.ts";
import type { Logger } from "../../core/seams/logger.ts";
import type { CacheImporter } from "../../core/seams/remote-cache.ts";
import type { SessionGroup } from "../../core/seams/session-caller.ts";
import { digestHex, sha256 } from "../../core/values/digest.ts";
import type { LayerInfo, Ref } from "../../core/values/layer.ts";
import { CacheManager, ImportedCacheKeyStorage, type Job } from "../../solver/index.ts";
import { DeferredKeyStorage } from "./deferred-key-storage.ts";
import { ImportedResultStorage, type ReadyImport } from "./imported-result-storage.ts";

export interface CacheImportEntry {
  readonly type: string;
  readonly attrs: Readonly<Record<string, string>>;
}

/** What imports need that does not change from build to build. */
export interface CacheImportServices {
  readonly importers: ReadonlyMap<string, CacheImporter>;
  readonly recordLayers: (layers: readonly LayerInfo[]) => Promise<void>;
  /** Keeps what is loaded from being pruned while builds stand on it. */
  readonly held: (results: CacheResultStorage<Ref>) => CacheResultStorage<Ref>;
}

export interface CacheImportsOptions extends CacheImportServices {
  readonly job: Job<Ref>;
  readonly sessions: SessionGroup;
  /** Ends with the build. */
  readonly signal: AbortSignal;
  readonly logger: Logger;
}

/**
 * The caches one build imports, each read once, in the background (BuildKit solver/llbsolver/bridge.go). A cache that cannot be
 * read shows as a failed vertex, and the build goes on without it.
 */
export class CacheImports {
  readonly #options: CacheImportsOptions;
  readonly #managers = new Map<string, CacheManager<Ref>>();

  constructor(options: CacheImportsOptions) {
    this.#options = options;
  }

  managers(entries: readonly CacheImportEntry[]): readonly CacheManager<Ref>[] {
    return [...new Set(entries.map((entry) => this.#manager(entry)))];
  }

  #manager(entry: CacheImportEntry): CacheManager<Ref> {
    const id = importId(entry);
    const known = this.#managers.get(id);
    if (known !== undefined) return known;
    const { recordLayers, held, signal } = this.#options;
    const ready = this.#import(entry, id);
    const keys = ready.then(async (found): Promise<CacheKeyStorage> => {
      await setImmediate();
      return new ImportedCacheKeyStorage(found === undefined ? [] : found.cache.records);
    });
    const manager = new CacheManager<Ref>({
      id,
      keys: new DeferredKeyStorage(keys),
      results: held(new ImportedResultStorage({ ready, recordLayers, signal })),
    });
    this.#managers.set(id, manager);
    return manager;
  }

  async #import({ type, attrs }: CacheImportEntry, id: string): Promise<ReadyImport | undefined> {
    const { job, importers, sessions, logger } = this.#options;
    try {
      return await job.inVertex(
        `importing cache manifest from ${id}`,
        async (progress, signal) => {
          const importer = importers.get(type);
          if (importer === undefined) throw new BuildError(Code.Unknown, `unknown cache importer: ${type}`);
          const source = await importer.open(attrs, { sessions, signal }).catch((error: unknown) => {
            throw BuildError.from(error).wrap(`failed to configure ${type} cache importer`);
          });
          const caches = await importCache(source, progress, signal);
          // Each is a long piece of work for a large cache.
          await setImmediate();
          return { source, cache: joinCaches(caches) };
        },
        this.#options.signal,
      );
    } catch (error) {
      logger.info("cache not imported", { cache: id, error: BuildError.from(error).message });
      return undefined;
    }
  }
}

/** Name of an import: its reference, or its type and a number that stands for its attributes. */
function importId({ type, attrs }: CacheImportEntry): string {
  const { ref = "" } = attrs;
  if (type === "registry" && ref !== "") return ref;
  const sorted = Object.entries(attrs).sort(([a], [b]) => (a < b ? -1 : 1));
  return `${type}:${BigInt(`0x${digestHex(sha256(JSON.stringify([type, sorted]))).slice(0, 16)}`)}`;
}
