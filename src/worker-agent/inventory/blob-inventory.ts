import type { BlobStat, ContentStore } from "../../core/seams/content-store.ts";
import type { KeyValue } from "../../core/seams/key-value.ts";
import type { Snapshotter } from "../../core/seams/snapshotter.ts";
import type { Descriptor } from "../../core/values/descriptor.ts";
import type { Digest } from "../../core/values/digest.ts";
import type { LayerId, LayerInfo } from "../../core/values/layer.ts";
import { decode } from "../../util/msgpack.ts";
import { steadyClock } from "../../util/system-clock.ts";
import { peerPackKind } from "../layers/layer-manager.ts";

export interface BlobInventoryOptions {
  readonly snapshotter: Pick<Snapshotter, "has">;
  readonly content: ContentStore;
  /** LayerInfo by layer id. */
  readonly layers: KeyValue;
  /** Blobs cut from layers, `<layer>/<kind>`. */
  readonly packs: KeyValue;
}

/** The blobs of an agent by what they are for. */
export interface BlobSurvey {
  /** Blobs by the layer here that they were cut from or came as; one of several layers is under the first. */
  readonly ofLayer: ReadonlyMap<LayerId, readonly LayerBlob[]>;
  /** Of no layer at all. */
  readonly loose: readonly BlobStat[];
  /** Converted from a layer whose files were never here, for an export. */
  readonly converted: readonly BlobStat[];
  /** Cut only to send a layer to another agent: cut again when wanted again. */
  readonly forPeers: readonly BlobStat[];
}

export interface LayerBlob extends BlobStat {
  /** Of another layer here as well. */
  readonly shared: boolean;
}

interface Owner {
  readonly layer: LayerId;
  here: boolean;
  shared: boolean;
  forPeers: boolean;
}

/** Which blobs belong to which layer, and which to none. */
export class BlobInventory {
  readonly #options: BlobInventoryOptions;

  constructor(options: BlobInventoryOptions) {
    this.#options = options;
  }

  async survey(): Promise<BlobSurvey> {
    const owners = await this.#owners();
    const ofLayer = new Map<LayerId, LayerBlob[]>();
    const loose: BlobStat[] = [];
    const converted: BlobStat[] = [];
    const forPeers: BlobStat[] = [];
    for await (const blob of this.#options.content.list()) {
      const owner = owners.get(blob.digest);
      if (owner === undefined) loose.push(blob);
      else if (!owner.here) converted.push(blob);
      else {
        const blobs = ofLayer.get(owner.layer) ?? [];
        blobs.push({ ...blob, shared: owner.shared });
        ofLayer.set(owner.layer, blobs);
        if (owner.forPeers) forPeers.push(blob);
      }
    }
    return { ofLayer, loose, converted, forPeers };
  }

  /** Deletes blobs older than `graceMs`: a newer one may be in somebody's hands. @returns bytes freed */
  async remove(blobs: readonly BlobStat[], graceMs: number): Promise<number> {
    let freed = 0;
    for (const { digest, size, createdAt } of blobs) {
      if (steadyClock.now() - createdAt < graceMs) continue;
      if (await this.#options.content.delete(digest)) freed += size;
    }
    return freed;
  }

  /**
   * Forgets what was cut from layers and is gone, and all that was cut from layers just removed: a blob that two of them
   * shared is of no layer now.
   */
  async forgetGone(removed: ReadonlySet<string>): Promise<void> {
    const { packs, snapshotter, content } = this.#options;
    const suspects: { readonly layer: LayerId; readonly key: string; readonly digest: Digest }[] = [];
    await this.#eachPack((layer, kind, { digest }) => {
      if (!snapshotter.has(layer)) suspects.push({ layer, key: `${layer}/${kind}`, digest });
    });
    for (const { layer, key, digest } of suspects) {
      if (removed.has(layer) || (await content.stat(digest)) === undefined) await packs.delete(key);
    }
  }

  async #owners(): Promise<ReadonlyMap<Digest, Owner>> {
    const { snapshotter, layers } = this.#options;
    const owners = new Map<Digest, Owner>();
    const own = (digest: Digest, layer: LayerId, forPeers: boolean) => {
      const here = snapshotter.has(layer);
      const known = owners.get(digest);
      if (known === undefined || (here && !known.here)) owners.set(digest, { layer, here, shared: false, forPeers });
      else {
        known.shared ||= here && known.layer !== layer;
        known.forPeers &&= forPeers;
      }
    };
    await this.#eachPack((layer, kind, { digest }) => own(digest, layer, kind === peerPackKind));
    using watch = layers.watch("", ({ value }) => {
      if (value === undefined) return;
      const { id, blobs, origins } = decode<LayerInfo>(value);
      if (!snapshotter.has(id)) return;
      for (const { digest } of [...blobs, ...origins.map((origin) => origin.descriptor)]) own(digest, id, false);
    });
    await watch.ready;
    return owners;
  }

  async #eachPack(visit: (layer: LayerId, kind: string, blob: Descriptor) => void): Promise<void> {
    using watch = this.#options.packs.watch("", ({ key, value }) => {
      const slash = key.lastIndexOf("/");
      if (value === undefined) return;
      visit(key.slice(0, slash) as LayerId, key.slice(slash + 1), decode<Descriptor>(value));
    });
    await watch.ready;
  }
}
