import type {
  ActiveSnapshot,
  CommittedLayer,
  Ingest,
  MountedView,
  Snapshotter,
  StoredLayer,
} from "../../core/seams/snapshotter.ts";
import type { LayerId, Ref } from "../../core/values/layer.ts";
import type { LayerUses } from "./layer-uses.ts";

/** Notes which layers are used, and how much is stored. */
export class NotingSnapshotter implements Snapshotter {
  readonly name: string;
  readonly #inner: Snapshotter;
  readonly #uses: LayerUses;
  readonly #onStored: (sizeBytes: number) => void;

  /** @param onStored called with the size of each layer committed; must be quick */
  constructor(inner: Snapshotter, uses: LayerUses, onStored: (sizeBytes: number) => void) {
    this.name = inner.name;
    this.#inner = inner;
    this.#uses = uses;
    this.#onStored = onStored;
  }

  has(id: LayerId): boolean {
    return this.#inner.has(id);
  }

  layerPath(id: LayerId): string {
    return this.#inner.layerPath(id);
  }

  async ingest(signal?: AbortSignal): Promise<Ingest> {
    return this.#noting(await this.#inner.ingest(signal));
  }

  async view(ref: Ref, signal?: AbortSignal): Promise<MountedView> {
    const view = await this.#inner.view(ref, signal);
    this.#uses.touched(ref.layers, Date.now());
    return view;
  }

  async prepare(ref: Ref, signal?: AbortSignal): Promise<ActiveSnapshot> {
    const active = await this.#inner.prepare(ref, signal);
    this.#uses.touched(ref.layers, Date.now());
    return this.#noting(active);
  }

  list(): Iterable<StoredLayer> {
    return this.#inner.list();
  }

  async remove(id: LayerId): Promise<boolean> {
    const removed = await this.#inner.remove(id);
    if (removed) await this.#uses.forget(id);
    return removed;
  }

  #noting(snapshot: Ingest): Ingest {
    return {
      path: snapshot.path,
      commit: async (id: LayerId): Promise<CommittedLayer> => {
        const layer = await snapshot.commit(id);
        this.#uses.touched([id], Date.now());
        this.#onStored(layer.sizeBytes);
        return layer;
      },
      [Symbol.asyncDispose]: () => snapshot[Symbol.asyncDispose](),
    };
  }
}
