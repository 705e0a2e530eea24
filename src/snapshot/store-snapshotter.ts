import { join } from "node:path";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type {
  ActiveSnapshot,
  CommittedLayer,
  Ingest,
  MountedView,
  Snapshotter,
  StoredLayer,
} from "../core/seams/snapshotter.ts";
import type { LayerId, Ref } from "../core/values/layer.ts";
import type { LayerStore } from "./layer-store.ts";
import type { LayerWorkers } from "./worker/layer-workers.ts";

/** A directory under tmp that may become a layer once. */
export interface Draft {
  readonly temp: string;
  /** What the user sees. */
  readonly path: string;
  /** Ends use of the path and leaves the finished layer in `<temp>/diff`. */
  finish(): Promise<{ readonly writtenOn?: readonly string[] }>;
  /** Ends use of the path; called once, also after `finish`. */
  close(): void;
}

/** What snapshotters share: the layer store, ingests, shared views, and the life of drafts. */
export abstract class StoreSnapshotter implements Snapshotter, AsyncDisposable {
  abstract readonly name: string;
  protected readonly store: LayerStore;
  protected readonly workers: LayerWorkers;
  readonly #views = new Map<string, { readonly view: Promise<OpenView>; users: number }>();
  readonly #drafts = new Set<OpenDraft>();

  constructor(store: LayerStore, workers: LayerWorkers) {
    this.store = store;
    this.workers = workers;
  }

  /** Makes the merged tree of a non-empty stack. */
  protected abstract openView(ref: Ref): Promise<OpenView>;
  protected abstract openDraft(ref: Ref): Promise<Draft>;

  has(id: LayerId): boolean {
    return this.store.has(id);
  }

  layerPath(id: LayerId): string {
    return this.store.diffPath(id);
  }

  list(): Iterable<StoredLayer> {
    return this.store.list();
  }

  remove(id: LayerId): Promise<boolean> {
    return this.store.remove(id);
  }

  async ingest(signal?: AbortSignal): Promise<Ingest> {
    signal?.throwIfAborted();
    const temp = this.store.makeTemp("diff");
    const draft: Draft = { temp, path: join(temp, "diff"), finish: async () => ({}), close: () => {} };
    return this.#track(draft, undefined, () => {});
  }

  async prepare(ref: Ref, signal?: AbortSignal): Promise<ActiveSnapshot> {
    signal?.throwIfAborted();
    const unpin = this.store.pin(ref);
    try {
      return this.#track(await this.openDraft(ref), ref.layers, unpin);
    } catch (error) {
      unpin();
      throw error;
    }
  }

  async view(ref: Ref, signal?: AbortSignal): Promise<MountedView> {
    signal?.throwIfAborted();
    if (ref.layers.length === 0) return { path: this.store.emptyDir, async [Symbol.asyncDispose]() {} };
    const unpin = this.store.pin(ref);
    const key = ref.layers.join("\n");
    let shared = this.#views.get(key);
    if (shared === undefined) {
      shared = { view: this.openView(ref), users: 0 };
      this.#views.set(key, shared);
    }
    const mine = shared;
    mine.users++;
    let open = true;
    const close = async () => {
      if (!open) return;
      open = false;
      mine.users--;
      if (mine.users === 0) {
        if (this.#views.get(key) === mine) this.#views.delete(key);
        await (await mine.view.catch(() => undefined))?.close();
      }
      unpin();
    };
    try {
      const { path } = await mine.view;
      return { path, [Symbol.asyncDispose]: close };
    } catch (error) {
      await close();
      throw error;
    }
  }

  /** Throws away what is uncommitted and unmounts everything. Threads are the owner's to stop. */
  async [Symbol.asyncDispose](): Promise<void> {
    const views = [...this.#views.values()];
    this.#views.clear();
    await Promise.all([...this.#drafts].map((draft) => draft[Symbol.asyncDispose]()));
    await Promise.all(views.map(async ({ view }) => (await view.catch(() => undefined))?.close()));
  }

  #track(draft: Draft, writtenOn: readonly LayerId[] | undefined, unpin: () => void): OpenDraft {
    const open = new OpenDraft(draft, writtenOn, this.store, this.workers, () => {
      this.#drafts.delete(open);
      unpin();
    });
    this.#drafts.add(open);
    return open;
  }
}

export interface OpenView {
  readonly path: string;
  close(): Promise<void>;
}

/** An ingest or active snapshot: open → committed | discarded. */
class OpenDraft implements ActiveSnapshot, Ingest {
  readonly path: string;
  readonly #draft: Draft;
  readonly #writtenOn: readonly LayerId[] | undefined;
  readonly #store: LayerStore;
  readonly #workers: LayerWorkers;
  readonly #onEnd: () => void;
  #ended = false;

  constructor(
    draft: Draft,
    writtenOn: readonly LayerId[] | undefined,
    store: LayerStore,
    workers: LayerWorkers,
    onEnd: () => void,
  ) {
    this.path = draft.path;
    this.#draft = draft;
    this.#writtenOn = writtenOn;
    this.#store = store;
    this.#workers = workers;
    this.#onEnd = onEnd;
  }

  async commit(id: LayerId): Promise<CommittedLayer> {
    if (this.#ended) throw new BuildError(Code.FailedPrecondition, "Snapshot is already committed or discarded");
    this.#store.checkNewId(id);
    this.#ended = true;
    const { temp } = this.#draft;
    try {
      const { writtenOn } = await this.#draft.finish();
      const sealed = await this.#workers.run("seal", {
        layer: join(temp, "diff"),
        skeleton: join(temp, "skel"),
        ...(writtenOn === undefined ? {} : { writtenOn: { lowers: writtenOn } }),
      });
      return this.#store.commit(id, temp, sealed, this.#writtenOn);
    } catch (error) {
      this.#draft.close();
      await this.#store.discard(temp);
      throw error;
    } finally {
      this.#onEnd();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    try {
      this.#draft.close();
      await this.#store.discard(this.#draft.temp);
    } finally {
      this.#onEnd();
    }
  }
}
