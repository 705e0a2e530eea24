import { statfs } from "node:fs/promises";
import type { ContentStore } from "../../core/seams/content-store.ts";
import type { KeyValue } from "../../core/seams/key-value.ts";
import type { Logger } from "../../core/seams/logger.ts";
import type { Snapshotter } from "../../core/seams/snapshotter.ts";
import type { PruneOptions, UsageRecord } from "../../core/values/agent.ts";
import type { Descriptor } from "../../core/values/descriptor.ts";
import type { Digest } from "../../core/values/digest.ts";
import type { LayerId, LayerInfo } from "../../core/values/layer.ts";
import { matchesUsageFilters } from "../../core/values/usage-filter.ts";
import { decode, encode } from "../../util/msgpack.ts";
import type { CacheMountStore } from "../ops/exec/index.ts";

export interface AgentInventoryOptions {
  readonly agentId: string;
  readonly root: string;
  readonly snapshotter: Snapshotter;
  readonly content: ContentStore;
  readonly cacheMounts: CacheMountStore;
  /** LayerInfo by layer id: what the layers here are. */
  readonly layers: KeyValue;
  /** Blobs cut from layers, `<layer>/<kind>`. */
  readonly packs: KeyValue;
  /** Tells coordinators what is gone. */
  readonly onDropped: (ids: readonly LayerId[]) => void;
  readonly logger: Logger;
}

/** Types that only `--all` removes (map h10). */
const keptTypes = new Set(["internal", "frontend"]);

/** What takes disk space on this agent, and its removal (BuildKit cache/manager.go: DiskUsage, Prune). */
export class AgentInventory {
  readonly #options: AgentInventoryOptions;

  constructor(options: AgentInventoryOptions) {
    this.#options = options;
  }

  /** Remembers what a layer is. */
  async note(info: LayerInfo): Promise<void> {
    await this.#options.layers.put(info.id, encode(info));
  }

  async usage(): Promise<readonly UsageRecord[]> {
    return (await this.#items()).map(({ record }) => record);
  }

  /**
   * Removes records that match, least recently used first, until the wanted space is reached or none is left.
   * @param protectedLayers layers of running builds
   * @returns what was removed
   */
  async prune(options: PruneOptions, protectedLayers: readonly LayerId[]): Promise<readonly UsageRecord[]> {
    const kept = new Set<string>(protectedLayers);
    const now = Date.now();
    const all = await this.#items();
    const candidates = all
      .filter(({ record }) => !record.inUse && !kept.has(record.id))
      .filter(({ record }) => options.all || !keptTypes.has(record.recordType))
      .filter(({ record }) => matchesUsageFilters(options.filter, record))
      .filter(({ record }) => now - record.lastUsedAt >= options.keepDurationMs)
      .sort((a, b) => a.record.lastUsedAt - b.record.lastUsedAt);
    let used = all.reduce((sum, { record }) => sum + record.sizeBytes, 0);
    const target = await this.#target(options, used);
    const removed: UsageRecord[] = [];
    for (const item of candidates) {
      if (target !== undefined && used <= target) break;
      if (!(await item.remove())) continue;
      used -= item.record.sizeBytes;
      removed.push(item.record);
    }
    this.#options.onDropped(removed.map(({ id }) => id as LayerId));
    if (removed.length > 0) await this.#sweepBlobs();
    return removed;
  }

  /** Bytes to come down to; undefined: remove all that matches (BuildKit cache/manager.go, calculateKeepBytes). */
  async #target(options: PruneOptions, used: number): Promise<number | undefined> {
    const { reservedSpace, maxUsedSpace, minFreeSpace } = options;
    if (reservedSpace === 0 && maxUsedSpace === 0 && minFreeSpace === 0) return undefined;
    let target = maxUsedSpace === 0 ? Number.POSITIVE_INFINITY : maxUsedSpace;
    if (minFreeSpace > 0) {
      const { bavail, bsize } = await statfs(this.#options.root);
      const lack = minFreeSpace - bavail * bsize;
      if (lack > 0) target = Math.min(target, used - lack);
    }
    if (maxUsedSpace === 0 && minFreeSpace === 0) target = reservedSpace;
    return Math.max(target, reservedSpace);
  }

  async #items(): Promise<readonly Item[]> {
    const { agentId, snapshotter, layers, cacheMounts } = this.#options;
    const items: Item[] = [];
    for (const layer of snapshotter.list()) {
      const entry = await layers.get(layer.id);
      const info = entry === undefined ? undefined : decode<LayerInfo>(entry.value);
      const record = {
        id: layer.id,
        agentId,
        mutable: false,
        inUse: layer.inUse,
        sizeBytes: layer.sizeBytes,
        createdAt: info?.createdAt || layer.createdAt,
        lastUsedAt: layer.lastUsedAt,
        usageCount: 1,
        description: info?.description ?? "",
        recordType: info?.recordType ?? "regular",
        shared: false,
        parents: [],
      };
      items.push({ record, remove: () => this.#removeLayer(layer.id) });
    }
    for (const mount of await cacheMounts.list()) {
      const { id, description, createdAt, lastUsedAt, usageCount, sizeBytes, inUse } = mount;
      const record = {
        ...{ id, agentId, description, createdAt, lastUsedAt, usageCount, sizeBytes, inUse },
        ...{ mutable: true, recordType: "exec.cachemount", shared: false, parents: [] },
      };
      items.push({ record, remove: () => cacheMounts.remove(id) });
    }
    return items;
  }

  async #removeLayer(id: LayerId): Promise<boolean> {
    if (!(await this.#options.snapshotter.remove(id))) return false;
    await this.#options.layers.delete(id);
    return true;
  }

  /** Deletes blobs that belong to no layer here any more. */
  async #sweepBlobs(): Promise<void> {
    const { content, packs, layers, snapshotter } = this.#options;
    const wanted = new Set<Digest>();
    const stale: string[] = [];
    using packWatch = packs.watch("", ({ key, value }) => {
      if (value === undefined) return;
      if (snapshotter.has(key.slice(0, key.lastIndexOf("/")) as LayerId)) wanted.add(decode<Descriptor>(value).digest);
      else stale.push(key);
    });
    using layerWatch = layers.watch("", ({ value }) => {
      if (value === undefined) return;
      const { blobs, origins } = decode<LayerInfo>(value);
      for (const { digest } of [...blobs, ...origins.map((origin) => origin.descriptor)]) wanted.add(digest);
    });
    await Promise.all([packWatch.ready, layerWatch.ready]);
    for (const key of stale) await packs.delete(key);
    for await (const { digest, createdAt } of content.list()) {
      // A blob just written may belong to a layer which is still being unpacked.
      if (!wanted.has(digest) && Date.now() - createdAt > blobGraceMs) await content.delete(digest);
    }
  }
}

const blobGraceMs = 60_000;

interface Item {
  readonly record: UsageRecord;
  remove(): Promise<boolean>;
}
