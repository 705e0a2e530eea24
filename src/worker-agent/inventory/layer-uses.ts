import type { KeyValue } from "../../core/seams/key-value.ts";
import type { LayerId } from "../../core/values/layer.ts";
import { decode, encode } from "../../util/msgpack.ts";

/** How a layer was used. */
export interface LayerUse {
  /** Builds, or groups of builds at the same time, that used it. */
  readonly count: number;
  /** Unix milliseconds. */
  readonly lastUsedAt: number;
}

/** True for what has the fields that every LayerUse has. */
export function isLayerUse(value: unknown): value is LayerUse {
  if (typeof value !== "object" || value === null) return false;
  const { count, lastUsedAt } = value as Partial<LayerUse>;
  return typeof count === "number" && typeof lastUsedAt === "number";
}

const saveDelayMs = 5000;

/** Counts uses of layers, over restarts. Written some seconds late: a crash loses the newest counts. Dispose writes the rest. */
export class LayerUses implements AsyncDisposable {
  readonly #bucket: KeyValue;
  readonly #uses = new Map<LayerId, LayerUse>();
  readonly #unsaved = new Set<LayerId>();
  #timer: NodeJS.Timeout | undefined;

  private constructor(bucket: KeyValue) {
    this.#bucket = bucket;
  }

  static async open(bucket: KeyValue): Promise<LayerUses> {
    const uses = new LayerUses(bucket);
    using watch = bucket.watch("", ({ key, value }) => {
      if (value !== undefined) uses.#uses.set(key as LayerId, decode<LayerUse>(value));
    });
    await watch.ready;
    return uses;
  }

  get(id: LayerId): LayerUse | undefined {
    return this.#uses.get(id);
  }

  /** Builds have used these and are done. */
  used(layers: readonly LayerId[], now: number): void {
    for (const id of layers) this.#set(id, { count: (this.#uses.get(id)?.count ?? 0) + 1, lastUsedAt: now });
  }

  /** Made, or mounted, for a build that goes on. */
  touched(layers: readonly LayerId[], now: number): void {
    for (const id of layers) this.#set(id, { count: this.#uses.get(id)?.count ?? 0, lastUsedAt: now });
  }

  async forget(id: LayerId): Promise<void> {
    this.#uses.delete(id);
    this.#unsaved.delete(id);
    await this.#bucket.delete(id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    await this.#save();
  }

  #set(id: LayerId, use: LayerUse): void {
    this.#uses.set(id, use);
    this.#unsaved.add(id);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      // Only the order of clean-up depends on it.
      this.#save().catch(() => {});
    }, saveDelayMs).unref();
  }

  async #save(): Promise<void> {
    const ids = [...this.#unsaved];
    this.#unsaved.clear();
    for (const id of ids) {
      const use = this.#uses.get(id);
      if (use !== undefined) await this.#bucket.put(id, encode(use));
    }
  }
}
