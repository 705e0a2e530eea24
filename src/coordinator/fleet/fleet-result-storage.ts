import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { CacheResultRecord, CacheResultStorage } from "../../core/seams/cache-storage.ts";
import type { KeyValue, KeyValueWatch } from "../../core/seams/key-value.ts";
import { digestHex, sha256 } from "../../core/values/digest.ts";
import type { LayerId, LayerInfo, Ref } from "../../core/values/layer.ts";
import { decode, encode } from "../../util/msgpack.ts";

/** Which layers make up each cached result; a bucket shared by all coordinators, mirrored here. */
export class FleetResultStorage implements CacheResultStorage<Ref>, Disposable {
  readonly #bucket: KeyValue;
  readonly #layer: (id: LayerId) => Promise<LayerInfo | undefined>;
  readonly #canBeHad: (info: LayerInfo) => Promise<boolean>;
  readonly #results = new Map<string, readonly LayerId[]>();
  readonly #watch: KeyValueWatch;

  private constructor(
    bucket: KeyValue,
    layer: (id: LayerId) => Promise<LayerInfo | undefined>,
    canBeHad: (info: LayerInfo) => Promise<boolean>,
  ) {
    this.#bucket = bucket;
    this.#layer = layer;
    this.#canBeHad = canBeHad;
    this.#watch = bucket.watch("", ({ key, value }) => {
      if (value === undefined) this.#results.delete(key);
      else this.#results.set(key, decode<LayerId[]>(value));
    });
  }

  static async open(
    bucket: KeyValue,
    layer: (id: LayerId) => Promise<LayerInfo | undefined>,
    canBeHad: (info: LayerInfo) => Promise<boolean>,
  ): Promise<FleetResultStorage> {
    const storage = new FleetResultStorage(bucket, layer, canBeHad);
    await storage.#watch.ready;
    return storage;
  }

  /** Resolves when all is here that any coordinator had saved before the call. */
  caughtUp(): Promise<void> {
    return this.#watch.caughtUp();
  }

  async save(result: Ref, createdAt: number): Promise<CacheResultRecord> {
    const id = digestHex(sha256(result.layers.join("\n")));
    if (!this.#results.has(id)) {
      await this.#bucket.put(id, encode(result.layers));
      this.#results.set(id, result.layers);
    }
    return { id, createdAt };
  }

  /**
   * Layers that no living agent holds are made again when somebody needs them.
   * @throws BuildError Unavailable when one of them cannot be: the record stays, its holder may return
   */
  async load(record: CacheResultRecord): Promise<Ref | undefined> {
    const layers = await this.#find(record.id);
    if (layers === undefined) return undefined;
    const current: LayerId[] = [];
    for (const id of layers) {
      const info = await this.#layer(id);
      if (info === undefined) return undefined;
      if (!(await this.#canBeHad(info))) throw new BuildError(Code.Unavailable, `no living agent holds layer ${id}`);
      current.push(info.id);
    }
    return { layers: current };
  }

  async exists(id: string): Promise<boolean> {
    return (await this.#find(id)) !== undefined;
  }

  /** Layers of each result, by id. */
  all(): Iterable<readonly [string, readonly LayerId[]]> {
    return this.#results.entries();
  }

  /** Drops results; their keys are the caller's to release. */
  async delete(ids: readonly string[]): Promise<void> {
    for (const id of ids) this.#results.delete(id);
    await Promise.all(ids.map((id) => this.#bucket.delete(id)));
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
  }

  /** Asks the bucket for what the watch has not told yet: its key may have come by another watch. */
  async #find(id: string): Promise<readonly LayerId[] | undefined> {
    const known = this.#results.get(id);
    if (known !== undefined) return known;
    const entry = await this.#bucket.get(id);
    return entry && decode<LayerId[]>(entry.value);
  }
}
