import type { CacheCandidate } from "./cache.ts";
import { type CacheKey, type CacheKeyWithSelector, contentKey } from "./cache-key.ts";
import type { HeldResult } from "./cached-result.ts";
import type { SharedTask } from "./shared-task.ts";
import type { SolverEdge } from "./solver-edge.ts";
import type { ContentDigest } from "./vertex-state.ts";

/**
 * One input as one edge sees it: which keys of the edge could follow from the input's keys. Each step asks more of the input
 * than the one before, and is only taken when that found nothing.
 *
 * `fast`     keys the input has from definitions alone
 * `slow`     keys the input finds by its inputs, at last by their content; then, for an op that looks at content, the input's
 *            result and its digest. Ends with the first match. False: no key of the edge can follow from this input.
 * `deepest`  all of that without stopping at the first match
 */
export class EdgeInput<T> {
  readonly index: number;
  readonly source: SolverEdge<T>;
  /** By `<manager>|<id>`. */
  readonly candidates = new Map<string, CacheCandidate<T>>();
  readonly fast: SharedTask<void>;
  readonly slow: SharedTask<boolean>;
  readonly deepest: SharedTask<void>;
  readonly #content: SharedTask<ContentDigest<T>>;
  readonly #edge: SolverEdge<T>;
  readonly #probed = new Set<CacheKey<T>>();
  /** Those among `candidates` that only the content has led to. */
  readonly #byContent = new Set<string>();
  /** By the result whose content it tells. */
  readonly #contentKeys = new WeakMap<HeldResult<T>, CacheKey<T>>();
  #contentKey: CacheKey<T> | undefined;

  constructor(edge: SolverEdge<T>, index: number, source: SolverEdge<T>) {
    this.#edge = edge;
    this.index = index;
    this.source = source;
    const { log } = edge;
    const found = () => ({ from: source.vertex.vertex.name, candidates: this.candidates.size });
    this.fast = log.task(`fast keys of input ${index}`, (signal) => this.#findFast(signal), found);
    this.slow = log.task(`slow keys of input ${index}`, (signal) => this.#findSlow(signal), found);
    this.deepest = log.task(`all keys of input ${index}`, (signal) => this.#findAll(signal), found);
    this.#content = log.task(`content of input ${index}`, (signal) => this.#probeContent(signal), found);
  }

  /** The input's result; with it the content key where the op wants one, as the stored record needs both. */
  async complete(signal: AbortSignal): Promise<HeldResult<T>> {
    for (;;) {
      const held = await this.source.result.get(signal);
      if (!(await this.#looksAtContent(signal))) return held;
      const content = await this.#content.get(signal);
      if (content.of === held) return held;
      // It was made anew since.
      this.#content.forget(content);
    }
  }

  /** True when all is known of a result that its key needs; it may have been replaced meanwhile, and is then not asked again. */
  async knows(held: HeldResult<T>, signal: AbortSignal): Promise<boolean> {
    if (!(await this.#looksAtContent(signal)) || this.#contentKeys.has(held)) return true;
    await this.complete(signal);
    return this.#contentKeys.has(held);
  }

  /** Looks again with the keys of the finished input: another build may have stored something meanwhile. */
  async probeResult(held: HeldResult<T>, signal: AbortSignal): Promise<void> {
    this.#probed.clear();
    if (!this.source.vertex.ignoreCache) await this.#probe(held.cacheKeys, signal);
    // Apart from the others: content does not follow from a definition that may have given different content before.
    if (this.#contentKey !== undefined) await this.#probe([this.#contentKey], signal);
  }

  /** All keys of the input known now, as they enter the key of the edge. */
  alternatives(selector: string, held?: HeldResult<T>): CacheKeyWithSelector<T>[] {
    const keys = held?.cacheKeys ?? this.source.keys;
    const alternatives = keys.map((key) => ({ key, selector }));
    const content = held === undefined ? this.#contentKey : this.#contentKeys.get(held);
    if (content !== undefined) alternatives.push({ key: content, selector: "" });
    return alternatives;
  }

  tasks(): SharedTask<unknown>[] {
    return [this.fast, this.slow, this.deepest, this.#content];
  }

  async #findFast(signal: AbortSignal): Promise<void> {
    await this.source.fast.get(signal);
    await this.#probe(this.source.keys, signal);
  }

  async #findAll(signal: AbortSignal): Promise<void> {
    await this.source.deep.get(signal);
    await this.#probe(this.source.keys, signal);
    if (await this.#looksAtContent(signal)) await this.#content.get(signal);
  }

  async #findSlow(signal: AbortSignal): Promise<boolean> {
    await this.fast.get(signal);
    if (this.candidates.size > 0) return true;
    await this.source.slow.get(signal);
    await this.#probe(this.source.keys, signal);
    if (this.candidates.size > 0) return true;
    await this.source.deep.get(signal);
    await this.#probe(this.source.keys, signal);
    if (this.candidates.size > 0) return true;
    if (await this.#looksAtContent(signal)) await this.#content.get(signal);
    return this.candidates.size > 0;
  }

  async #looksAtContent(signal: AbortSignal): Promise<boolean> {
    const { map } = await this.#edge.vertex.cacheMap(0, signal);
    return map.deps[this.index]?.computeDigest !== undefined;
  }

  async #probeContent(signal: AbortSignal): Promise<ContentDigest<T>> {
    const content = await this.#edge.vertex.contentDigest(this.index, signal);
    const key = this.#keyOf(content);
    if (this.#edge.vertex.ignoreCache) return content;
    const { site, selector } = await this.#site(signal);
    const cache = this.#edge.vertex.cache;
    const found = await cache.query([{ key, selector: "" }], site);
    for (const token of this.#add(found)) this.#byContent.add(token);
    if (found.length === 0 || this.source.vertex.ignoreCache) return content;
    // The next build finds the same by the definition alone.
    await cache.connect(
      content.of.cacheKeys.map((known) => ({ key: known, selector })),
      site,
      found,
    );
    return content;
  }

  /** What was made anew may have other content: what followed from the first does not follow from it. */
  #keyOf({ digest, of }: ContentDigest<T>): CacheKey<T> {
    if (this.#contentKey?.digest !== digest) {
      for (const token of this.#byContent) this.candidates.delete(token);
      this.#byContent.clear();
      this.#contentKey = contentKey<T>(digest);
    }
    this.#contentKeys.set(of, this.#contentKey);
    return this.#contentKey;
  }

  async #probe(keys: readonly CacheKey<T>[], signal: AbortSignal): Promise<void> {
    if (this.#edge.vertex.ignoreCache) return;
    const fresh = keys.filter((key) => !this.#probed.has(key));
    if (fresh.length === 0) return;
    const { site, selector } = await this.#site(signal);
    const inputs = fresh.map((key) => ({ key, selector: key.isContent ? "" : selector }));
    this.#add(await this.#edge.vertex.cache.query(inputs, site));
    for (const key of fresh) this.#probed.add(key);
  }

  /** @returns the names of those that are new */
  #add(candidates: readonly CacheCandidate<T>[]): string[] {
    const named = candidates.map((candidate) => [`${candidate.manager.id}|${candidate.id}`, candidate] as const);
    const added = named.filter(([token]) => !this.candidates.has(token));
    for (const [token, candidate] of added) this.candidates.set(token, candidate);
    return added.map(([token]) => token);
  }

  async #site(signal: AbortSignal) {
    const { map } = await this.#edge.vertex.cacheMap(0, signal);
    return {
      site: { digest: map.digest, output: this.#edge.index, input: this.index },
      selector: map.deps[this.index]?.selector ?? "",
    };
  }
}
