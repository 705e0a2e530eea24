import { type Digest, isDigest } from "../core/values/digest.ts";
import { Semaphore } from "../util/semaphore.ts";
import { type CacheRecord, compareRecords } from "./cache.ts";
import { type CacheKey, isRandom } from "./cache-key.ts";
import type { CacheManager } from "./cache-manager.ts";

/**
 * Which results go along (map d23). `min`: the topmost ones, and below them only what others can already fetch. `max`: all.
 * `remote-only`: nothing that would have to be made transferable first (inline cache).
 */
export type CacheExportMode = "min" | "max" | "remote-only";

/** A record in the exporter's hands; the walk only passes it on. */
export interface CacheExportLink<R> {
  readonly record: R;
  readonly selector: string;
}

/** A result in a form others can fetch, e.g. a chain of layer descriptors. */
export interface CacheExportResult<X> {
  readonly content: X;
  /** Unix milliseconds. */
  readonly createdAt: number;
  /** Vertex and output that gave the result, for inline cache. */
  readonly vertex: Digest | undefined;
  readonly output: number;
}

/** One cache format. */
export interface CacheExportTarget<R, X> {
  /**
   * Takes a record. Records with the same digest and links are one. Records without inputs never carry results, unless asked for.
   * @param digest root key of the op output (map d12)
   * @param inputs alternatives by input; none is empty
   * @returns undefined to leave the record and all above it out
   */
  add(
    digest: Digest,
    inputs: readonly (readonly CacheExportLink<R>[])[],
    results: readonly CacheExportResult<X>[],
  ): R | undefined;
}

export interface CacheExportOptions<T, R, X> {
  readonly target: CacheExportTarget<R, X>;
  readonly mode: CacheExportMode;
  /**
   * Makes a result fetchable: best form first, others (compressions) after it; empty when it cannot be had.
   * With `onlyRemote` it gives what others can fetch already and makes nothing.
   */
  readonly resolve: (
    result: { readonly live: T } | { readonly record: CacheRecord<T> },
    options: { readonly onlyRemote: boolean },
  ) => Promise<readonly X[]>;
  /** Also the results of ops without inputs; default false. */
  readonly roots?: boolean;
  /** Also other ways to the same keys that stores know of but this build did not take; default true. */
  readonly backlinks?: boolean;
}

/**
 * Gives a cache format the whole chain of keys that leads to a build's result (BuildKit solver/exporter.go).
 * @returns records of the keys themselves; empty when nothing could be exported
 */
export async function exportCacheKeys<T, R, X>(
  keys: readonly CacheKey<T>[],
  options: CacheExportOptions<T, R, X>,
): Promise<R[]> {
  const walk = new ExportWalk(options);
  try {
    return await walk.all(keys);
  } finally {
    await walk.settled();
  }
}

/** Results on their way at one time: enough to keep a fleet busy, and no more than that has to end when one fails. */
const maxPending = 256;

const noResults = { results: Promise.resolve([]) };

class ExportWalk<T, R, X> {
  readonly #options: CacheExportOptions<T, R, X>;
  readonly #slots = new Semaphore(maxPending);
  readonly #pending = new Set<Promise<unknown>>();
  /* One step at a time, but for results. What is begun and not done counts as nothing: keys may go in circles. */
  readonly #done = new Map<CacheKey<T>, R[]>();
  /** By `<manager>|<id>`. */
  readonly #stored = new Map<string, R[]>();

  constructor(options: CacheExportOptions<T, R, X>) {
    this.#options = options;
  }

  async all(keys: readonly CacheKey<T>[]): Promise<R[]> {
    const records: R[] = [];
    for (const key of keys) records.push(...(await this.#key(key, this.#options.mode)));
    return records;
  }

  /** Resolves when nothing runs any more. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#pending);
  }

  async #key(key: CacheKey<T>, mode: CacheExportMode): Promise<R[]> {
    const known = this.#done.get(key);
    if (known !== undefined) return known;
    this.#done.set(key, []);
    const records = await this.#export(key, mode);
    for (const nested of key.nested) records.push(...(await this.#key(nested, mode)));
    this.#done.set(key, records);
    return records;
  }

  async #export(key: CacheKey<T>, mode: CacheExportMode): Promise<R[]> {
    // Never on the caller's stack: chains may be long.
    await undefined;
    if (isRandom(key.digest)) return [];
    const { target, roots = false, backlinks = true } = this.#options;
    // The override is for results that the build found but did not need; what it made or loaded is exported all the same.
    const overridden = key.fresh === undefined && key.exportCache === false;
    const wanted = !overridden && (roots || key.deps.length > 0);
    const begun = wanted ? await this.#begin(key, mode) : noResults;
    const below = mode === "min" && (await begun.results).length > 0 ? "remote-only" : mode;
    const inputs: CacheExportLink<R>[][] = [];
    for (const [i, alternatives] of key.deps.entries()) {
      const links: CacheExportLink<R>[] = [];
      for (const { key: input, selector } of [...alternatives, ...(key.secondary[i] ?? [])]) {
        for (const record of await this.#key(input, below)) links.push({ record, selector });
      }
      inputs.push(links);
    }
    if (backlinks) await this.#exportStored(key);
    if (inputs.some((links) => links.length === 0)) return [];
    const record = target.add(key.rootKey, inputs, await begun.results);
    return record === undefined ? [] : [record];
  }

  /** Results are made while the walk goes on below, so that all agents pack at the same time. */
  async #begin(key: CacheKey<T>, mode: CacheExportMode) {
    await this.#slots.acquire();
    const results = this.#results(key, mode);
    this.#pending.add(results);
    const end = () => {
      this.#pending.delete(results);
      this.#slots.release();
    };
    results.then(end, end);
    return { results };
  }

  async #results(key: CacheKey<T>, mode: CacheExportMode): Promise<CacheExportResult<X>[]> {
    const options = { onlyRemote: mode === "remote-only" };
    const from = (contents: readonly X[], createdAt: number) =>
      contents.map((content) => ({ content, createdAt, vertex: key.vertex, output: key.output }));
    if (key.fresh !== undefined) {
      const { result, createdAt } = key.fresh;
      return from(await this.#options.resolve({ live: result }, options), createdAt);
    }
    for (const record of [...key.records].sort(compareRecords)) {
      const contents = await this.#options.resolve({ record }, options);
      if (contents.length > 0) return from(contents, record.createdAt);
    }
    return [];
  }

  /** What stores know of a key beyond this build: adds records, which the format joins with those of the same digest. */
  async #exportStored(key: CacheKey<T>): Promise<void> {
    for (const [manager, id] of key.ids) await this.#storedKey(manager, id);
  }

  async #storedKey(manager: CacheManager<T>, id: string): Promise<R[]> {
    const token = `${manager.id}|${id}`;
    const known = this.#stored.get(token);
    if (known !== undefined) return known;
    this.#stored.set(token, []);
    const records = await this.#exportStoredKey(manager, id);
    this.#stored.set(token, records);
    return records;
  }

  async #exportStoredKey(manager: CacheManager<T>, id: string): Promise<R[]> {
    await undefined;
    const { target } = this.#options;
    const backlinks = await manager.keys.backlinks(id);
    if (backlinks.length === 0) {
      const record = isDigest(id) ? target.add(id, [], []) : undefined;
      return record === undefined ? [] : [record];
    }
    const inputsByDigest = new Map<Digest, CacheExportLink<R>[][]>();
    for (const { key, input, selector, rootKey: digest } of backlinks) {
      const inputs = inputsByDigest.get(digest) ?? [];
      inputsByDigest.set(digest, inputs);
      while (inputs.length <= input) inputs.push([]);
      for (const record of await this.#storedKey(manager, key)) {
        inputs[input]?.push({ record, selector });
      }
    }
    const records: R[] = [];
    for (const [digest, inputs] of inputsByDigest) {
      if (inputs.some((links) => links.length === 0)) continue;
      const record = target.add(digest, inputs, []);
      if (record !== undefined) records.push(record);
    }
    return records;
  }
}
