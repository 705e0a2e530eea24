import type { CacheKeyStorage, CacheLink, CacheResultStorage } from "../core/seams/cache-storage.ts";
import { type Digest, sha256 } from "../core/values/digest.ts";
import type { CacheCandidate, CacheRecord, LinkSite, SolverCache } from "./cache.ts";
import { type CacheKey, type CacheKeyWithSelector, isRandom, rootKey } from "./cache-key.ts";

export interface CacheManagerOptions<T> {
  /** Same id = same store behind it. */
  readonly id: string;
  readonly keys: CacheKeyStorage;
  readonly results: CacheResultStorage<T>;
}

/**
 * One store of keys and results (BuildKit solver/cachemanager.go).
 *
 * A key without inputs is named by its root key. A key with inputs takes the name that its inputs' links already lead to, and
 * otherwise a hash of the inputs' names: two coordinators that store the same key at the same time choose the same name.
 * Where an input has a content key, only that decides: equal definitions may have given different content.
 */
export class CacheManager<T> implements SolverCache<T> {
  readonly id: string;
  readonly keys: CacheKeyStorage;
  readonly results: CacheResultStorage<T>;

  constructor(options: CacheManagerOptions<T>) {
    this.id = options.id;
    this.keys = options.keys;
    this.results = options.results;
  }

  async root(digest: Digest, output: number): Promise<readonly CacheCandidate<T>[]> {
    if (isRandom(digest)) return [];
    const id = rootKey(digest, output);
    return (await this.keys.exists(id)) ? [{ manager: this, id }] : [];
  }

  async query(inputs: readonly CacheKeyWithSelector<T>[], site: LinkSite): Promise<readonly CacheCandidate<T>[]> {
    const found = await Promise.all(inputs.map((input) => this.#targets(input, site)));
    const all = new Set(found.flatMap((targets) => [...targets]));
    const candidates = Array.from(all, (id) => ({ manager: this, id }));
    if (inputs.length > 1) await this.connect(inputs, site, candidates);
    return candidates;
  }

  async connect(
    inputs: readonly CacheKeyWithSelector<T>[],
    site: LinkSite,
    candidates: readonly CacheCandidate<T>[],
  ): Promise<void> {
    const mine = candidates.filter(({ manager }) => manager === this);
    if (mine.length === 0) return;
    for (const input of inputs) {
      if (input.key.ephemeral) continue;
      const known = await this.#targets(input, site);
      const from = await this.identify(input.key);
      for (const { id } of mine) {
        if (!known.has(id) && from !== id) await this.keys.addLink(from, linkTo(input, site), id);
      }
    }
  }

  async records(candidate: CacheCandidate<T>, key: CacheKey<T>): Promise<readonly CacheRecord<T>[]> {
    const records: CacheRecord<T>[] = [];
    for (const { id, createdAt } of await this.keys.results(candidate.id)) {
      if (await this.results.exists(id)) records.push({ id, createdAt, priority: 0, manager: this, key });
      else await this.keys.release(id);
    }
    return records;
  }

  async load(record: CacheRecord<T>): Promise<T | undefined> {
    const result = await this.results.load({ id: record.id, createdAt: record.createdAt });
    if (result === undefined) await this.keys.release(record.id);
    return result;
  }

  async release(record: CacheRecord<T>): Promise<void> {
    await this.keys.release(record.id);
  }

  async save(key: CacheKey<T>, result: T, createdAt: number): Promise<CacheRecord<T> | undefined> {
    if (key.ephemeral) return undefined;
    const record = await this.results.save(result, createdAt);
    const id = await this.identify(key);
    // From the result towards the roots: at no time is there a key that leads nowhere, which somebody might clear away.
    await this.keys.addResult(id, record);
    await this.#persistLinks(key, id);
    return { ...record, priority: 0, manager: this, key };
  }

  async alias(key: CacheKey<T>, known: CacheKey<T>): Promise<void> {
    const id = await this.identify(known);
    key.setIdIn(this, id);
    if (!key.ephemeral && !known.ephemeral) await this.#persistLinks(key, id);
  }

  async identify(key: CacheKey<T>): Promise<string> {
    const known = key.idIn(this);
    if (known !== undefined) return known;
    const id = key.deps.length === 0 ? key.rootKey : await this.#idFromInputs(key);
    key.setIdIn(this, id);
    return id;
  }

  async #targets(input: CacheKeyWithSelector<T>, site: LinkSite): Promise<ReadonlySet<string>> {
    if (input.key.ephemeral) return new Set();
    return new Set(await this.keys.links(await this.identify(input.key), linkTo(input, site)));
  }

  async #idFromInputs(key: CacheKey<T>): Promise<string> {
    const deciding = key.deps.map((alternatives) => {
      const content = alternatives.filter((alternative) => alternative.key.isContent);
      return content.length > 0 ? content : alternatives;
    });
    let matches: Set<string> | undefined;
    for (const [input, alternatives] of deciding.entries()) {
      const site = { digest: key.digest, output: key.output, input };
      const found = await Promise.all(alternatives.map((alternative) => this.#targets(alternative, site)));
      const union = new Set(found.flatMap((targets) => [...targets]));
      matches = matches === undefined ? union : new Set([...matches].filter((id) => union.has(id)));
      if (matches.size === 0) break;
    }
    const [known] = [...(matches ?? [])].sort();
    if (known !== undefined) return known;
    const names = await Promise.all(
      deciding.map(async (alternatives) => {
        const stored = alternatives.filter((alternative) => !alternative.key.ephemeral);
        const named = (stored.length > 0 ? stored : alternatives).map(
          async (alternative) => `${await this.identify(alternative.key)} ${alternative.selector}`,
        );
        return (await Promise.all(named)).sort();
      }),
    );
    return sha256(JSON.stringify([key.rootKey, names]));
  }

  /** Writes the links that lead to `id`, and those that lead to its inputs where they are missing. */
  async #persistLinks(key: CacheKey<T>, id: string): Promise<void> {
    for (const [input, alternatives] of key.deps.entries()) {
      const site = { digest: key.digest, output: key.output, input };
      for (const alternative of alternatives) {
        if (alternative.key.ephemeral) continue;
        if ((await this.#targets(alternative, site)).has(id)) continue;
        const from = await this.identify(alternative.key);
        // A copy of a copy with equal content has the key of the first: a link to itself would keep it from ever going.
        if (from === id) continue;
        await this.keys.addLink(from, linkTo(alternative, site), id);
        await this.#persistLinks(alternative.key, from);
      }
    }
  }
}

function linkTo<T>(input: CacheKeyWithSelector<T>, site: LinkSite): CacheLink {
  return { input: site.input, output: site.output, digest: site.digest, selector: input.selector };
}
