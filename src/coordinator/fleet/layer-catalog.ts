import { subjects } from "../../bus/index.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { KeyValue, KeyValueWatch } from "../../core/seams/key-value.ts";
import type { Logger } from "../../core/seams/logger.ts";
import type { MessageBus } from "../../core/seams/message-bus.ts";
import type { Descriptor } from "../../core/values/descriptor.ts";
import type { BlobOrigin, LayerId, LayerInfo } from "../../core/values/layer.ts";
import { decode, encode } from "../../util/msgpack.ts";

/**
 * What the fleet knows of each layer: a bucket shared by all coordinators, mirrored here by a watch, so that reading is local.
 * Facts are only added (a diffId, a blob, an origin, a holder), except holders, which are also taken away; concurrent writers
 * merge.
 */
export class LayerCatalog implements AsyncDisposable {
  readonly #bucket: KeyValue;
  readonly #logger: Logger;
  readonly #layers = new Map<LayerId, LayerInfo>();
  readonly #watch: KeyValueWatch;
  readonly #dropped: Disposable;

  private constructor(bucket: KeyValue, bus: MessageBus, logger: Logger) {
    this.#bucket = bucket;
    this.#logger = logger;
    this.#watch = bucket.watch("", (change) => {
      if (change.value === undefined) this.#layers.delete(change.key as LayerId);
      else this.#layers.set(change.key as LayerId, decode<LayerInfo>(change.value));
    });
    this.#dropped = bus.subscribe(subjects.layersDropped, (message) => {
      const { agentId, ids } = decode<{ agentId: string; ids: LayerId[] }>(message.data);
      for (const id of ids) this.#forgetHolder(id, agentId);
    });
  }

  static async open(bucket: KeyValue, bus: MessageBus, logger: Logger): Promise<LayerCatalog> {
    const catalog = new LayerCatalog(bucket, bus, logger);
    await catalog.#watch.ready;
    return catalog;
  }

  get(id: LayerId): LayerInfo | undefined {
    return this.#layers.get(id);
  }

  /** @throws BuildError Internal for a layer nobody recorded */
  require(id: LayerId): LayerInfo {
    const info = this.#layers.get(id);
    if (info === undefined) throw new BuildError(Code.Internal, `layer ${id} is not in the catalog`);
    return info;
  }

  all(): Iterable<LayerInfo> {
    return this.#layers.values();
  }

  /** Adds what is new. Durable when it resolves. */
  async record(infos: readonly LayerInfo[]): Promise<void> {
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

  /** Forgets holders, blobs and diffId: the layers are about to be made anew and may come out different. */
  async reset(ids: readonly LayerId[]): Promise<void> {
    const blank = (known: LayerInfo | undefined) => {
      if (known === undefined) return undefined;
      const { diffId: _, ...rest } = known;
      return { ...rest, blobs: [], holders: [] };
    };
    await Promise.all(ids.map((id) => this.#change(id, blank)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watch[Symbol.dispose]();
    this.#dropped[Symbol.dispose]();
  }

  #forgetHolder(id: LayerId, agentId: string): void {
    this.#change(id, (known) =>
      known === undefined ? known : { ...known, holders: known.holders.filter((holder) => holder !== agentId) },
    ).catch((error) => this.#logger.warn("cannot update layer", { layer: id, error: String(error) }));
  }

  /** Reads, changes and writes until nobody interferes. */
  async #change(id: LayerId, change: (known: LayerInfo | undefined) => LayerInfo | undefined): Promise<void> {
    let known = this.#layers.get(id);
    let revision: number | undefined;
    for (;;) {
      const wanted = change(known);
      if (wanted === undefined || (known !== undefined && sameInfo(wanted, known))) return;
      try {
        if (revision !== undefined) await this.#bucket.update(id, encode(wanted), revision);
        else if (known === undefined) await this.#bucket.create(id, encode(wanted));
        else throw new BuildError(Code.Aborted, "revision not known yet");
        this.#layers.set(id, wanted);
        return;
      } catch (error) {
        if (!(error instanceof BuildError) || (error.code !== Code.Aborted && error.code !== Code.AlreadyExists))
          throw error;
        const entry = await this.#bucket.get(id);
        known = entry === undefined ? undefined : decode<LayerInfo>(entry.value);
        revision = entry?.revision;
      }
    }
  }
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
    a.sizeBytes === b.sizeBytes
  );
}
