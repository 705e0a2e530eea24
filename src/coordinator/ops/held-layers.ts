import type { CacheResultRecord, CacheResultStorage } from "../../core/seams/cache-storage.ts";
import type { Op, OpResolver } from "../../core/seams/op.ts";
import type { LayerId, Ref } from "../../core/values/layer.ts";

/** Counts which layers the results of running builds stand on: prune leaves them alone. */
export class HeldLayers {
  readonly #counts = new Map<LayerId, number>();
  readonly #onLetGo: (id: LayerId) => void;

  /** @param onLetGo called when no build holds a layer any more */
  constructor(onLetGo: (id: LayerId) => void = () => {}) {
    this.#onLetGo = onLetGo;
  }

  get layers(): readonly LayerId[] {
    return [...this.#counts.keys()];
  }

  has(id: LayerId): boolean {
    return this.#counts.has(id);
  }

  /** Holds layers until the answer is called, once. */
  pin(layers: readonly LayerId[]): () => void {
    this.hold({ layers });
    return () => this.release({ layers });
  }

  hold(ref: Ref): void {
    for (const id of ref.layers) this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
  }

  release(ref: Ref): void {
    for (const id of ref.layers) {
      const count = (this.#counts.get(id) ?? 0) - 1;
      if (count > 0) this.#counts.set(id, count);
      else if (this.#counts.delete(id)) this.#onLetGo(id);
    }
  }

  /** Holds what ops make. The solver releases each result once. */
  resolver(inner: OpResolver<Ref>): OpResolver<Ref> {
    return { resolve: (vertex) => this.#op(inner.resolve(vertex)) };
  }

  /** Holds what is loaded from the cache. */
  results(inner: CacheResultStorage<Ref>): CacheResultStorage<Ref> {
    return {
      save: (result, createdAt) => inner.save(result, createdAt),
      exists: (id) => inner.exists(id),
      load: async (record: CacheResultRecord) => {
        const found = await inner.load(record);
        if (found === undefined) return undefined;
        this.hold(found);
        // Between the two an agent may have been allowed to remove it.
        try {
          const ref = await inner.load(record);
          if (ref === undefined) this.release(found);
          return ref && found;
        } catch (error) {
          this.release(found);
          throw error;
        }
      },
    };
  }

  #op(op: Op<Ref>): Op<Ref> {
    return {
      get pin() {
        return op.pin;
      },
      cacheMap: (index, context) => op.cacheMap(index, context),
      exec: async (inputs, context) => {
        const outputs = await op.exec(inputs, context);
        for (const ref of outputs) this.hold(ref);
        return outputs;
      },
    };
  }
}
