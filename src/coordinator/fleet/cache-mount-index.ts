import type { KeyValue } from "../../core/seams/key-value.ts";
import type {
  CacheMountHolder,
  CacheMountInfo,
  CacheMountSized,
  CacheMountUse,
  PublishedCacheMount,
} from "../../core/values/cache-mount.ts";
import { digestHex, sha256 } from "../../core/values/digest.ts";
import { randomId } from "../../core/values/random-id.ts";
import { MirroredBucket } from "./mirrored-bucket.ts";

/** Directories remembered of one mount; the oldest versions go first. */
const maxHolders = 16;

/** Which agents hold which version of each cache mount of the fleet (ADR-0008). */
export class CacheMountIndex implements Disposable {
  readonly #records: MirroredBucket<CacheMountInfo>;

  private constructor(records: MirroredBucket<CacheMountInfo>) {
    this.#records = records;
  }

  static async open(bucket: KeyValue): Promise<CacheMountIndex> {
    return new CacheMountIndex(await MirroredBucket.open<CacheMountInfo>(bucket));
  }

  get(key: string): CacheMountInfo {
    return this.#records.get(recordKey(key)) ?? { key, epoch: "", holders: [] };
  }

  all(): Iterable<CacheMountInfo> {
    return this.#records.values();
  }

  /** The version is the newest from now on, unless it is cold, or the mount was pruned since. A copy goes with its like. */
  async publish(agentId: string, { key, epoch, cold, ...version }: PublishedCacheMount): Promise<void> {
    const holder: CacheMountHolder = { agentId, ...version };
    await this.#records.change(recordKey(key), (known = { key, epoch: "", holders: [] }) => {
      if (known.epoch !== epoch) return known;
      const others = known.holders.filter(({ entryId }) => entryId !== version.entryId);
      const like = others.findLastIndex((other) => other.version === version.version);
      const place = !cold ? 0 : like < 0 ? Math.min(others.length, maxHolders - 1) : like + 1;
      return { ...known, holders: others.toSpliced(place, 0, holder).slice(0, maxHolders) };
    });
  }

  /** A directory was measured. */
  async resize({ agentId, key, entryId, sizeBytes }: CacheMountSized): Promise<void> {
    await this.#records.change(recordKey(key), (known) => {
      const isMeant = (holder: CacheMountHolder) => holder.agentId === agentId && holder.entryId === entryId;
      if (!known?.holders.some((holder) => isMeant(holder) && holder.sizeBytes !== sizeBytes)) return known;
      return {
        ...known,
        holders: known.holders.map((holder) => (isMeant(holder) ? { ...holder, sizeBytes } : holder)),
      };
    });
  }

  /** The agent has the directories no more; default: none at all. */
  async drop(agentId: string, entryIds?: readonly string[]): Promise<void> {
    const isGone = (holder: CacheMountHolder) =>
      holder.agentId === agentId && (entryIds === undefined || entryIds.includes(holder.entryId));
    const concerned = [...this.#records.values()].filter(({ holders }) => holders.some(isGone));
    const without = (known: CacheMountInfo | undefined) => {
      if (known === undefined || !known.holders.some(isGone)) return known;
      const holders = known.holders.filter((holder) => !isGone(holder));
      return holders.length === 0 ? undefined : { ...known, holders };
    };
    await Promise.all(concerned.map(({ key }) => this.#records.change(recordKey(key), without)));
  }

  /** Begins a new epoch of an id's mounts that are known, but for those to be spared. */
  async forget({ id, nested }: CacheMountUse, isSpared: (key: string) => boolean): Promise<void> {
    const matches = (key: string) => (nested ? key.startsWith(`${id}:`) : key === id);
    const keys = [...this.#records.values()].map(({ key }) => key).filter((key) => matches(key) && !isSpared(key));
    const anew = (key: string) => ({ key, epoch: randomId(), holders: [] });
    await Promise.all(keys.map((key) => this.#records.change(recordKey(key), () => anew(key))));
  }

  /** Agents that hold something. */
  get agents(): ReadonlySet<string> {
    return new Set([...this.#records.values()].flatMap(({ holders }) => holders.map(({ agentId }) => agentId)));
  }

  [Symbol.dispose](): void {
    this.#records[Symbol.dispose]();
  }
}

/** Mount keys are any text; those of a bucket are not. */
export function recordKey(key: string): string {
  return digestHex(sha256(key));
}
