import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { KeyValue, KeyValueWatch } from "../../core/seams/key-value.ts";
import { releaseTermMs } from "../../core/values/agent-control.ts";
import type { Descriptor } from "../../core/values/descriptor.ts";
import type { BlobOrigin, LayerId, LayerInfo } from "../../core/values/layer.ts";
import { decode, encode } from "../../util/msgpack.ts";

/** From the record of a layer until a build holds it takes much less. */
const recentMs = 60_000;

/**
 * What the fleet knows of each layer: a bucket shared by all coordinators, mirrored here by a watch, so that reading is local.
 * Facts are only added (a diffId, a blob, an origin, a holder), except holders, which are also taken away; concurrent writers
 * merge. A layer that was lost is replaced by one that was made in its stead: who asks for the lost one gets the other.
 */
export class LayerCatalog implements AsyncDisposable {
  readonly #bucket: KeyValue;
  readonly #layers = new Map<LayerId, LayerInfo>();
  /** Lost layers by what has replaced them. */
  readonly #replaced = new Map<LayerId, Set<LayerId>>();
  /** Agents that are about to remove a layer, with the time until when. */
  readonly #hidden = new Map<LayerId, Map<string, number>>();
  /** Lazy layers recorded here a short while ago, with the time: a build is about to hold them. */
  readonly #recent = new Map<LayerId, number>();
  readonly #isHeld: (id: LayerId) => boolean;
  readonly #watch: KeyValueWatch;

  private constructor(bucket: KeyValue, isHeld: (id: LayerId) => boolean) {
    this.#bucket = bucket;
    this.#isHeld = isHeld;
    this.#watch = bucket.watch("", ({ key, value }) => {
      const id = key as LayerId;
      if (value !== undefined) this.#keep(decode<LayerInfo>(value));
      else if (this.#isHeld(id) || this.#recent.has(id)) this.#restore(id);
      else this.#layers.delete(id);
    });
  }

  /** @param isHeld a build that runs here counts on the layer; default: none does */
  static async open(bucket: KeyValue, isHeld: (id: LayerId) => boolean = () => false): Promise<LayerCatalog> {
    const catalog = new LayerCatalog(bucket, isHeld);
    await catalog.#watch.ready;
    return catalog;
  }

  /** Resolves when all is here that any coordinator had recorded before the call. */
  caughtUp(): Promise<void> {
    return this.#watch.caughtUp();
  }

  /** Lazy layers that a build here is about to hold. */
  get recent(): Iterable<LayerId> {
    return this.#recent.keys();
  }

  /** A build that held the layer holds it no more. */
  letGo(id: LayerId): void {
    this.#recent.delete(id);
  }

  /** The layer itself, or what has replaced it. */
  current(id: LayerId): LayerId {
    let current = id;
    for (let next = this.#layers.get(id)?.replacedBy; next !== undefined; next = this.#layers.get(next)?.replacedBy) {
      current = next;
    }
    return current;
  }

  /** The layer itself and all that it has replaced. */
  namesOf(id: LayerId): readonly LayerId[] {
    return [id, ...[...(this.#replaced.get(id) ?? [])].flatMap((lost) => this.namesOf(lost))];
  }

  get(id: LayerId): LayerInfo | undefined {
    const current = this.current(id);
    const info = this.#layers.get(current);
    const hidden = this.#hidden.get(current);
    if (info === undefined || hidden === undefined) return info;
    const now = performance.now();
    return { ...info, holders: info.holders.filter((holder) => (hidden.get(holder) ?? 0) < now) };
  }

  /** @throws BuildError Internal for a layer nobody recorded */
  require(id: LayerId): LayerInfo {
    const info = this.get(id);
    if (info === undefined) throw new BuildError(Code.Internal, `layer ${id} is not in the catalog`);
    return info;
  }

  all(): Iterable<LayerInfo> {
    return this.#layers.values();
  }

  /** With holders that are about to remove it. */
  recorded(id: LayerId): LayerInfo | undefined {
    return this.#layers.get(this.current(id));
  }

  /** As `get`, but asks the bucket for what the watch has not told yet. */
  async find(id: LayerId): Promise<LayerInfo | undefined> {
    const known = this.get(id);
    if (known !== undefined) return known;
    const info = await this.#read(this.current(id));
    return info?.replacedBy === undefined ? info : this.find(info.replacedBy);
  }

  /** Adds what is new. Durable when it resolves. */
  async record(infos: readonly LayerInfo[]): Promise<void> {
    this.#remember(infos);
    await Promise.all(
      infos.map((info) => this.#change(info.id, (known) => (known === undefined ? info : merge(known, info)))),
    );
  }

  async addHolder(id: LayerId, agentId: string): Promise<void> {
    await this.#change(id, (known) =>
      known === undefined || known.holders.includes(agentId)
        ? known
        : { ...known, holders: [...known.holders, agentId] },
    );
  }

  /**
   * A coordinator takes it on itself to make a lost layer again. Of several only one may.
   * @param mayClaim decides on what the bucket holds now
   */
  async claim(id: LayerId, coordinatorId: string, mayClaim: (known: LayerInfo) => boolean): Promise<boolean> {
    // The mirror may be behind; whether the write goes through is decided by the bucket.
    const known = await this.#read(id);
    if (known !== undefined) this.#keep(known);
    if (known?.remadeBy === coordinatorId) return mayClaim(known);
    return this.#change(id, (info) => (info && mayClaim(info) ? { ...info, remadeBy: coordinatorId } : undefined));
  }

  /** The layer could not be made again: others may try. */
  async unclaim(id: LayerId): Promise<void> {
    await this.#change(id, (known) => known && withoutClaim(known));
  }

  /**
   * The lost layers were made again as these; some as themselves, where an agent still had them. The one that was claimed comes
   * last: until then the claim holds for all.
   */
  async replace(lost: readonly LayerId[], made: readonly LayerId[], claimed: LayerId): Promise<void> {
    const replacement = (known: LayerInfo | undefined, replacedBy: LayerId | undefined) => {
      if (known === undefined || replacedBy === undefined) return undefined;
      if (this.current(replacedBy) === known.id) return withoutClaim(known);
      return { ...withoutClaim(known), replacedBy, holders: [], blobs: [] };
    };
    const replaced = (id: LayerId) => this.#change(id, (known) => replacement(known, made[lost.indexOf(id)]));
    await Promise.all(lost.filter((id) => id !== claimed).map(replaced));
    await replaced(claimed);
  }

  /** From now on the agent is no holder of the layers, here and for a while: it is about to remove them. */
  hide(agentId: string, ids: readonly LayerId[]): void {
    const until = performance.now() + releaseTermMs;
    for (const id of ids) {
      const hidden = this.#hidden.get(id) ?? new Map<string, number>();
      this.#hidden.set(id, hidden.set(agentId, until));
    }
  }

  /** The agent has said what became of the layers. */
  unhide(agentId: string, ids: readonly LayerId[]): void {
    for (const id of ids) {
      const hidden = this.#hidden.get(id);
      hidden?.delete(agentId);
      if (hidden?.size === 0) this.#hidden.delete(id);
    }
  }

  /** The agent has the layers no more. @returns those that nobody has now, nor any origin */
  async dropHolder(ids: readonly LayerId[], agentId: string): Promise<readonly LayerId[]> {
    const without = (known: LayerInfo | undefined) =>
      known && { ...known, holders: known.holders.filter((holder) => holder !== agentId) };
    await Promise.all(ids.map((id) => this.#change(id, without)));
    return ids.filter((id) => !isKept(this.recorded(id)));
  }

  /** Removes the layers that nobody has. @returns those removed */
  async forget(ids: readonly LayerId[]): Promise<readonly LayerId[]> {
    return this.#delete(ids.filter((id) => !isKept(this.recorded(id))));
  }

  /** Removes layers that no agent has, though they could be had from outside again. @returns those removed */
  async discard(ids: readonly LayerId[]): Promise<readonly LayerId[]> {
    return this.#delete(ids.filter((id) => (this.#layers.get(id)?.holders ?? []).length === 0));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watch[Symbol.dispose]();
  }

  async #delete(ids: readonly LayerId[]): Promise<readonly LayerId[]> {
    const unwanted = ids.filter((id) => this.#layers.has(id) && !this.#isHeld(id) && !this.#recent.has(id));
    for (const id of unwanted) {
      this.#layers.delete(id);
      this.#replaced.delete(id);
    }
    await Promise.all(unwanted.map((id) => this.#bucket.delete(id)));
    return unwanted;
  }

  /** Another coordinator took for unused what a build here has just begun to use. */
  #restore(id: LayerId): void {
    const info = this.#layers.get(id);
    if (info === undefined) return;
    this.#bucket.create(id, encode(info)).catch(() => {});
  }

  #remember(infos: readonly LayerInfo[]): void {
    const now = performance.now();
    for (const [id, at] of this.#recent) {
      if (now - at < recentMs) break;
      this.#recent.delete(id);
    }
    for (const { id, holders } of infos) {
      if (holders.length > 0 || this.#isHeld(id)) continue;
      this.#recent.delete(id);
      this.#recent.set(id, now);
    }
  }

  #keep(given: LayerInfo): void {
    const info = this.#withoutCircle(given);
    this.#layers.set(info.id, info);
    if (info.replacedBy === undefined) return;
    const lost = this.#replaced.get(info.replacedBy) ?? new Set<LayerId>();
    this.#replaced.set(info.replacedBy, lost.add(info.id));
  }

  async #read(id: LayerId): Promise<LayerInfo | undefined> {
    const entry = await this.#bucket.get(id);
    return entry && this.#withoutCircle(decode<LayerInfo>(entry.value));
  }

  /** Two coordinators may have replaced two layers by each other: the record read last is the one that is not believed. */
  #withoutCircle(info: LayerInfo): LayerInfo {
    if (info.replacedBy === undefined || this.current(info.replacedBy) !== info.id) return info;
    const { replacedBy: _, ...lost } = info;
    return lost;
  }

  /** Reads, changes and writes until nobody interferes. @returns false when there was nothing to change */
  async #change(id: LayerId, change: (known: LayerInfo | undefined) => LayerInfo | undefined): Promise<boolean> {
    let known = this.#layers.get(id);
    let revision: number | undefined;
    for (;;) {
      const wanted = change(known);
      if (wanted === undefined || (known !== undefined && sameInfo(wanted, known))) return false;
      try {
        if (revision !== undefined) await this.#bucket.update(id, encode(wanted), revision);
        else if (known === undefined) await this.#bucket.create(id, encode(wanted));
        else throw new BuildError(Code.Aborted, "revision not known yet");
        this.#keep(wanted);
        return true;
      } catch (error) {
        if (!(error instanceof BuildError) || (error.code !== Code.Aborted && error.code !== Code.AlreadyExists))
          throw error;
        const entry = await this.#bucket.get(id);
        known = entry && this.#withoutCircle(decode<LayerInfo>(entry.value));
        revision = entry?.revision;
      }
    }
  }
}

function isKept(info: LayerInfo | undefined): boolean {
  return info !== undefined && info.holders.length + info.origins.length > 0;
}

function withoutClaim({ remadeBy: _, ...info }: LayerInfo): LayerInfo {
  return info;
}

function merge(known: LayerInfo, more: LayerInfo): LayerInfo {
  const diffId = known.diffId ?? more.diffId;
  return {
    ...known,
    ...earlierBirth(known, more),
    ...(diffId === undefined ? {} : { diffId }),
    blobs: union(known.blobs, more.blobs, (blob: Descriptor) => blob.digest),
    origins: union(withoutOldSessions(known.origins, more.origins), more.origins, originKey),
    holders: union(known.holders, more.holders, (holder) => holder),
    sizeBytes: known.sizeBytes || more.sizeBytes,
  };
}

/**
 * A layer that nobody holds takes the account of who knows an earlier birth: an imported cache remembers when and by what it
 * was made, a pulled image does not, and exported configs show it.
 */
function earlierBirth(known: LayerInfo, more: LayerInfo): Pick<LayerInfo, "createdAt" | "description"> {
  const { createdAt, description } = known.holders.length === 0 && more.createdAt < known.createdAt ? more : known;
  return { createdAt, ...(description === undefined ? {} : { description }) };
}

/** A client's store is gone with its session: a newer one takes its place. */
function withoutOldSessions(known: readonly BlobOrigin[], more: readonly BlobOrigin[]): readonly BlobOrigin[] {
  if (!more.some((origin) => origin.kind === "session")) return known;
  return known.filter((origin) => origin.kind !== "session");
}

function originKey(origin: BlobOrigin): string {
  const place = origin.kind === "registry" ? origin.repository : `${origin.sessionId} ${origin.storeId}`;
  return `${origin.kind} ${place} ${origin.descriptor.digest}`;
}

function union<T>(a: readonly T[], b: readonly T[], key: (item: T) => string): readonly T[] {
  const seen = new Set(a.map(key));
  const added = b.filter((item) => !seen.has(key(item)));
  return added.length === 0 ? a : [...a, ...added];
}

function sameInfo(a: LayerInfo, b: LayerInfo): boolean {
  return (
    a.diffId === b.diffId &&
    a.blobs.length === b.blobs.length &&
    a.origins.length === b.origins.length &&
    a.origins.every((origin, index) => originKey(origin) === originKey(b.origins[index] ?? origin)) &&
    a.holders.length === b.holders.length &&
    a.createdAt === b.createdAt &&
    a.description === b.description &&
    a.sizeBytes === b.sizeBytes &&
    a.replacedBy === b.replacedBy &&
    a.remadeBy === b.remadeBy
  );
}
