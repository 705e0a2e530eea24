import type { KeyValue } from "../../core/seams/key-value.ts";
import type { LayerId } from "../../core/values/layer.ts";
import { decode, encode } from "../../util/msgpack.ts";

/** How a layer was used here. */
export interface LayerUse {
  readonly count: number;
  /** Unix milliseconds. */
  readonly lastUsedAt: number;
  /** The layer it was written on; none for one that came from elsewhere: those may lie in any stack. */
  readonly parent?: LayerId;
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

  /** @param layers a stack in use */
  used(layers: readonly LayerId[], now: number): void {
    for (const id of new Set(layers)) {
      const known = this.#uses.get(id);
      this.#set(id, { ...known, count: (known?.count ?? 0) + 1, lastUsedAt: now });
    }
  }

  /** @param parent the layer it was written on */
  made(id: LayerId, parent: LayerId | undefined, now: number): void {
    this.#set(id, { count: 1, lastUsedAt: now, ...(parent === undefined ? {} : { parent }) });
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
