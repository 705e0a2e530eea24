import { statfs } from "node:fs/promises";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { KeyValue } from "../../core/seams/key-value.ts";
import type { Logger } from "../../core/seams/logger.ts";
import type { Snapshotter } from "../../core/seams/snapshotter.ts";
import type { PruneOptions, UsageRecord } from "../../core/values/agent.ts";
import { type LayersDropped, releaseTermMs } from "../../core/values/agent-control.ts";
import type { LayerId, LayerInfo } from "../../core/values/layer.ts";
import { decode, encode } from "../../util/msgpack.ts";
import type { CacheMountRecord, CacheMountStore } from "../ops/exec/index.ts";
import type { BlobInventory, BlobSurvey, LayerBlob } from "./blob-inventory.ts";
import type { GitMirrorInventory } from "./git-mirror-inventory.ts";
import type { LayerUses } from "./layer-uses.ts";
import { selectVictims, spaceTarget } from "./prune-policy.ts";
import type { ReleasePoll } from "./release-poll.ts";

export interface AgentInventoryOptions {
  readonly agentId: string;
  readonly root: string;
  readonly snapshotter: Snapshotter;
  readonly blobs: BlobInventory;
  readonly cacheMounts: CacheMountStore;
  readonly gitMirrors: GitMirrorInventory;
  readonly uses: LayerUses;
  /** LayerInfo by layer id: what the layers here are. */
  readonly layers: KeyValue;
  readonly poll: ReleasePoll;
  /** What the tasks running here have in hand now. */
  readonly tasksInHand: () => TasksInHand;
  /** Drops what is remembered of layers and blobs that are gone; called when no source is being fetched. */
  readonly forgetGone: () => Promise<void>;
  /** Tells coordinators what became of layers. */
  readonly onDropped: (dropped: Omit<LayersDropped, "agentId">) => void;
  readonly logger: Logger;
}

/** What must stay for the tasks that run now. */
export interface TasksInHand {
  readonly count: number;
  readonly layers: ReadonlySet<LayerId>;
  /** A source is being fetched: it may use a mirror, or an earlier layer of the same directory. */
  readonly fetchSources: boolean;
}

export interface PruneRound {
  /** Records that must stay. */
  readonly keep?: readonly string[];
  /** Waits for coordinators that do not answer until they count as gone, in place of leaving their layers for later. */
  readonly patient: boolean;
  readonly signal: AbortSignal;
}

export interface Collected {
  readonly removed: readonly UsageRecord[];
  /** Bytes used afterwards. */
  readonly usedBytes: number;
}

/** Records decided on at once; coordinators are asked about their layers in one message. */
const batchSize = 128;
const looseBlobGraceMs = 60_000;
const convertedBlobGraceMs = 900_000;
const idleBlobGraceMs = 5000;

/** What takes disk space on this agent, and its removal (BuildKit cache/manager.go: DiskUsage, Prune). */
export class AgentInventory {
  readonly #options: AgentInventoryOptions;
  /** End of the last round: rounds do not overlap. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: AgentInventoryOptions) {
    this.#options = options;
  }

  /** Builds have used the layers and are done; those that are not here do not count. */
  used(layers: readonly LayerId[]): void {
    const { uses, snapshotter } = this.#options;
    const here = layers.filter((id) => snapshotter.has(id));
    uses.used(here, Date.now());
  }

  /** Remembers what a layer is. */
  async note(info: LayerInfo): Promise<void> {
    await this.#options.layers.put(info.id, encode(info));
  }

  /** Forgets layers that an earlier process had begun to remove, or that were damaged. Before the first task. */
  async recover(): Promise<void> {
    const ids = [...(await this.#infos()).keys()] as LayerId[];
    await this.#forget(ids.filter((id) => !this.#options.snapshotter.has(id)));
  }

  async usage(): Promise<readonly UsageRecord[]> {
    const { items } = await this.#survey(await this.#options.cacheMounts.list());
    return items.map(({ record }) => record);
  }

  /**
   * Applies rules in order. Nothing is removed that a task here or a running build of any coordinator needs.
   * @returns what was removed, also when a rule could not be finished for want of a coordinator's answer
   */
  async collect(rules: readonly PruneOptions[], round: PruneRound): Promise<Collected> {
    return this.#inTurn(() => this.#collect(rules, round));
  }

  /** Removes these layers, if they are here and nobody needs them. @returns what was removed */
  async drop(ids: readonly LayerId[], signal: AbortSignal): Promise<readonly UsageRecord[]> {
    const wanted = new Set(ids.filter((id) => this.#options.snapshotter.has(id)));
    if (wanted.size === 0) return [];
    return this.#inTurn(async () => {
      const [{ ofLayer }, infos] = await Promise.all([this.#options.blobs.survey(), this.#infos()]);
      const batch = [...this.#layerItems(ofLayer, infos)].filter(({ record }) => wanted.has(record.id as LayerId));
      const state: RoundState = { kept: new Set(), removed: [], mounts: [] };
      await this.#removeBatch(batch, { patient: true, signal }, state);
      return state.removed;
    });
  }

  #inTurn<R>(round: () => Promise<R>): Promise<R> {
    const before = this.#turn;
    const done = (async () => {
      await before.catch(() => {});
      return round();
    })();
    this.#turn = done;
    return done;
  }

  async #collect(rules: readonly PruneOptions[], round: PruneRound): Promise<Collected> {
    const state: RoundState = {
      kept: new Set(round.keep),
      removed: [],
      mounts: await this.#options.cacheMounts.list(),
    };
    try {
      for (const rule of rules) await this.#apply(rule, round, state);
    } finally {
      if (state.removed.length > 0) await this.#forget(state.removed.map(({ id }) => id as LayerId));
    }
    const freed = await this.#removeStrayBlobs(await this.#options.blobs.survey());
    if (state.removed.length + freed > 0) await this.#forgetGone();
    const { usedBytes } = freed > 0 || state.survey === undefined ? await this.#survey(state.mounts) : state.survey;
    return { removed: state.removed, usedBytes };
  }

  async #forgetGone(): Promise<void> {
    const { forgetGone, tasksInHand, logger } = this.#options;
    if (tasksInHand().fetchSources) return;
    await forgetGone().catch((error) => logger.warn("what is gone is not forgotten", { error: String(error) }));
  }

  async #apply(rule: PruneOptions, round: PruneRound, state: RoundState): Promise<void> {
    for (let spared = false; ; ) {
      round.signal.throwIfAborted();
      state.survey ??= await this.#survey(state.mounts);
      const { items, usedBytes } = state.survey;
      const freeBytes = rule.minFreeSpace > 0 ? await freeSpace(this.#options.root) : 0;
      const targetBytes = spaceTarget(rule, usedBytes, freeBytes);
      if (targetBytes !== undefined && usedBytes <= targetBytes) return;
      // First what costs nobody anything.
      if (targetBytes !== undefined && !spared) {
        spared = true;
        if ((await this.#removeSpareBlobs()) > 0) {
          state.survey = undefined;
          continue;
        }
      }
      const victims = selectVictims(
        items.map(({ record }) => record),
        rule,
        { now: Date.now(), usedBytes, targetBytes, limit: batchSize, isKept: (id) => state.kept.has(id) },
      );
      if (victims.length === 0) return;
      const byId = new Map(items.map((item) => [item.record.id, item]));
      await this.#removeBatch(
        victims.flatMap(({ id }) => byId.get(id) ?? []),
        round,
        state,
      );
    }
  }

  /** Each of the batch is gone or kept afterwards, unless the coordinators' answer grew too old. */
  async #removeBatch(batch: readonly Item[], round: PruneRound, state: RoundState): Promise<void> {
    const { kept, removed } = state;
    const layers = batch.flatMap(({ layer }) => layer ?? []);
    const askedAt = performance.now();
    const held = await this.#held(layers, round, state);
    const gone = new Set<LayerId>();
    try {
      for (const item of batch) {
        if (round.signal.aborted || performance.now() - askedAt > releaseTermMs / 2) return;
        const { record, layer } = item;
        const mayGo = !kept.has(record.id) && !(layer !== undefined && held.has(layer));
        if (mayGo && (await this.#remove(item))) {
          removed.push(record);
          if (layer !== undefined) gone.add(layer);
          state.mounts = state.mounts.filter(({ id }) => id !== record.id);
          state.survey = undefined;
        } else {
          // What it stands on was chosen because it would go.
          for (const stays of [record.id, ...record.parents]) kept.add(stays);
        }
        await nextTurn();
      }
    } finally {
      this.#tell(layers, gone);
    }
  }

  /** Those of the layers that must stay for running builds; all, in this whole round, when that cannot be known. */
  async #held(layers: readonly LayerId[], round: PruneRound, state: RoundState): Promise<ReadonlySet<LayerId>> {
    if (layers.length === 0) return new Set();
    try {
      return await this.#options.poll.held(layers, round.patient, round.signal);
    } catch (error) {
      this.#tell(layers, new Set());
      round.signal.throwIfAborted();
      this.#options.logger.warn("layers stay for now", { error: String(error) });
      for (const { id } of this.#options.snapshotter.list()) state.kept.add(id);
      return new Set(layers);
    }
  }

  /** Tells coordinators what became of layers they were asked about. */
  #tell(layers: readonly LayerId[], gone: ReadonlySet<LayerId>): void {
    if (layers.length === 0) return;
    this.#options.onDropped({ ids: [...gone], kept: layers.filter((id) => !gone.has(id)) });
  }

  /** @returns false when it is in use; what cannot be removed does not keep others from it */
  async #remove(item: Item): Promise<boolean> {
    try {
      return await item.remove();
    } catch (error) {
      const { id } = item.record;
      this.#options.logger.warn("cannot remove", { record: id, error: String(error) });
      return item.layer !== undefined && !this.#options.snapshotter.has(item.layer);
    }
  }

  /** Deletes blobs that belong to no layer, and those that only other agents needed. @returns bytes freed */
  async #removeSpareBlobs(): Promise<number> {
    const { blobs } = this.#options;
    const survey = await blobs.survey();
    return (await this.#removeStrayBlobs(survey)) + (await blobs.remove(survey.forPeers, looseBlobGraceMs));
  }

  async #removeStrayBlobs({ loose, converted }: BlobSurvey): Promise<number> {
    const { blobs } = this.#options;
    return (await blobs.remove(loose, this.#blobGraceMs)) + (await blobs.remove(converted, convertedBlobGraceMs));
  }

  /** A blob just written may belong to a layer which is still being unpacked. */
  get #blobGraceMs(): number {
    return this.#options.tasksInHand().count > 0 ? looseBlobGraceMs : idleBlobGraceMs;
  }

  async #survey(mounts: readonly CacheMountRecord[]): Promise<Survey> {
    const { blobs, gitMirrors } = this.#options;
    const [{ ofLayer, loose, converted }, infos, mirrors] = await Promise.all([
      blobs.survey(),
      this.#infos(),
      gitMirrors.list(),
    ]);
    const items = [...this.#layerItems(ofLayer, infos), ...this.#mountItems(mounts), ...this.#mirrorItems(mirrors)];
    const strayBytes = sumOfSizes([...loose, ...converted]);
    return { items, usedBytes: items.reduce((sum, { record }) => sum + record.sizeBytes, strayBytes) };
  }

  *#layerItems(ofLayer: BlobSurvey["ofLayer"], infos: ReadonlyMap<string, LayerInfo>): Generator<Item> {
    const { agentId, snapshotter, uses, tasksInHand } = this.#options;
    const inHand = tasksInHand().layers;
    for (const layer of snapshotter.list()) {
      const info = infos.get(layer.id);
      const use = uses.get(layer.id);
      const blobs = ofLayer.get(layer.id) ?? [];
      const record: UsageRecord = {
        id: layer.id,
        agentId,
        mutable: false,
        inUse: layer.inUse || inHand.has(layer.id),
        sizeBytes: layer.sizeBytes + sumOfSizes(blobs),
        createdAt: info?.createdAt || layer.createdAt,
        lastUsedAt: Math.max(layer.lastUsedAt, use?.lastUsedAt ?? 0),
        usageCount: use?.count ?? 0,
        description: info?.description ?? "",
        recordType: info?.recordType ?? "regular",
        shared: false,
        parents: info?.parent !== undefined && snapshotter.has(info.parent) ? [info.parent] : [],
      };
      yield { record, layer: layer.id, remove: () => this.#removeLayer(layer.id, record.recordType, blobs) };
    }
  }

  #mountItems(mounts: readonly CacheMountRecord[]): Item[] {
    const { agentId, cacheMounts } = this.#options;
    return mounts.map(({ id, description, createdAt, lastUsedAt, usageCount, sizeBytes, inUse }) => ({
      record: {
        ...{ id, agentId, description, createdAt, lastUsedAt, usageCount, sizeBytes, inUse },
        ...{ mutable: true, recordType: "exec.cachemount", shared: false, parents: [] },
      },
      remove: () => cacheMounts.remove(id),
    }));
  }

  #mirrorItems(mirrors: Awaited<ReturnType<GitMirrorInventory["list"]>>): Item[] {
    const { agentId, gitMirrors, tasksInHand } = this.#options;
    const inUse = tasksInHand().fetchSources;
    return mirrors.map(({ id, description, createdAt, lastUsedAt, sizeBytes }) => ({
      record: {
        ...{ id, agentId, description, createdAt, lastUsedAt, sizeBytes, usageCount: 1, inUse },
        ...{ mutable: true, recordType: "regular", shared: false, parents: [] },
      },
      remove: async () => !tasksInHand().fetchSources && gitMirrors.remove(id),
    }));
  }

  async #removeLayer(id: LayerId, recordType: string, itsBlobs: readonly LayerBlob[]): Promise<boolean> {
    const { tasksInHand, snapshotter, blobs } = this.#options;
    const tasks = tasksInHand();
    if (tasks.layers.has(id) || (tasks.fetchSources && recordType.startsWith("source."))) return false;
    if (!(await snapshotter.remove(id))) return false;
    const own = itsBlobs.filter(({ shared }) => !shared);
    await blobs.remove(own, 0);
    return true;
  }

  /** What is known of layers that were removed. Their records go last: a process killed before that finds them in `recover`. */
  async #forget(removed: readonly LayerId[]): Promise<void> {
    const { blobs, layers, snapshotter } = this.#options;
    await blobs.forgetGone(new Set(removed));
    for (const id of removed) if (!snapshotter.has(id)) await layers.delete(id);
  }

  async #infos(): Promise<ReadonlyMap<string, LayerInfo>> {
    const infos = new Map<string, LayerInfo>();
    using watch = this.#options.layers.watch("", ({ key, value }) => {
      if (value !== undefined) infos.set(key, decode<LayerInfo>(value));
    });
    await watch.ready;
    return infos;
  }
}

/** Bytes left on a disk for processes that are not root's. */
export async function freeSpace(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}

function sumOfSizes(blobs: readonly { readonly size: number }[]): number {
  return blobs.reduce((sum, { size }) => sum + size, 0);
}

interface Survey {
  readonly items: readonly Item[];
  readonly usedBytes: number;
}

interface RoundState {
  readonly kept: Set<string>;
  readonly removed: UsageRecord[];
  /** Walking large mounts takes long: their sizes are taken once in a round. */
  mounts: readonly CacheMountRecord[];
  /** Absent when something has changed since. */
  survey?: Survey | undefined;
}

interface Item {
  readonly record: UsageRecord;
  /** Absent for what coordinators know nothing of. */
  readonly layer?: LayerId;
  remove(): Promise<boolean>;
}
