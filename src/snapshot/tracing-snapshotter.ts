import type {
  ActiveSnapshot,
  CommittedLayer,
  Ingest,
  MountedView,
  Snapshotter,
  StoredLayer,
} from "../core/seams/snapshotter.ts";
import type { LayerId, Ref } from "../core/values/layer.ts";
import { inSpan } from "../telemetry/index.ts";

/** Spans for mounting and committing, where they happen within a task. */
export class TracingSnapshotter implements Snapshotter {
  readonly name: string;
  readonly #inner: Snapshotter;

  constructor(inner: Snapshotter) {
    this.name = inner.name;
    this.#inner = inner;
  }

  has(id: LayerId): boolean {
    return this.#inner.has(id);
  }

  layerPath(id: LayerId): string {
    return this.#inner.layerPath(id);
  }

  async ingest(signal?: AbortSignal): Promise<Ingest> {
    return tracingCommit(await this.#inner.ingest(signal));
  }

  async view(ref: Ref, signal?: AbortSignal): Promise<MountedView> {
    return inSpan("mount", mountOptions(ref), () => this.#inner.view(ref, signal));
  }

  async prepare(ref: Ref, signal?: AbortSignal): Promise<ActiveSnapshot> {
    return inSpan("mount", mountOptions(ref), async () => tracingCommit(await this.#inner.prepare(ref, signal)));
  }

  list(): Iterable<StoredLayer> {
    return this.#inner.list();
  }

  remove(id: LayerId): Promise<boolean> {
    return this.#inner.remove(id);
  }
}

function mountOptions(ref: Ref) {
  return { attributes: { "layer.count": ref.layers.length } };
}

function tracingCommit(snapshot: Ingest): Ingest {
  return {
    path: snapshot.path,
    commit: (id: LayerId): Promise<CommittedLayer> =>
      inSpan("commit", { attributes: { "layer.id": id } }, async (span) => {
        const layer = await snapshot.commit(id);
        span.set({ "layer.size_bytes": layer.sizeBytes });
        return layer;
      }),
    [Symbol.asyncDispose]: () => snapshot[Symbol.asyncDispose](),
  };
}
