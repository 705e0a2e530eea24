import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  utimes,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { Clock } from "../core/seams/clock.ts";
import type { Logger } from "../core/seams/logger.ts";
import type { CommittedLayer, StoredLayer } from "../core/seams/snapshotter.ts";
import type { LayerId, Ref } from "../core/values/layer.ts";
import { hasErrno, mountsBelow, unmountQuietly } from "../util/sys/index.ts";
import type { SealedLayer } from "./worker/jobs.ts";
import type { LayerWorkers } from "./worker/layer-workers.ts";

/** `layer.json`, written last before a layer is moved to its place. */
interface LayerFile {
  readonly sizeBytes: number;
  /** Unix milliseconds. */
  readonly createdAt: number;
  /** `layers/<id>/skel` exists: see makeSkeleton. */
  readonly skeleton: boolean;
  /** The stack the layer was written on; its whiteouts are known to hit something there. */
  readonly writtenOn?: readonly LayerId[];
}

export interface LayerStoreOptions {
  readonly workers: LayerWorkers;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface LayerRecord extends LayerFile {
  lastUsedAt: number;
  persistedUseAt: number;
  pins: number;
}

const idPattern = /^(?!\.\.?$)[A-Za-z0-9._-]{1,128}$/;

/** Use times are written to disk no more often than this; they only order garbage collection. */
const useResolutionMs = 60_000;

/**
 * The directory tree that every snapshotter keeps layers in, with pins and metadata:
 *
 *     layers/<id>/diff        the layer in overlay form
 *     layers/<id>/skel        bare directories that hold whiteouts, if any
 *     layers/<id>/layer.json  LayerFile; its mtime is the time of last use
 *     tmp/<n>/…               what is being written or mounted by the running process
 *     empty/
 *
 * A layer appears by one rename. `open` unmounts and deletes whatever an earlier process left in tmp, and layers whose
 * metadata is damaged; the directory must not be shared by two processes. A killed process loses nothing committed; after a
 * power cut the filesystem decides.
 */
export class LayerStore {
  readonly root: string;
  readonly emptyDir: string;
  readonly #layers = new Map<LayerId, LayerRecord>();
  readonly #workers: LayerWorkers;
  readonly #clock: Clock;
  #nextTemp = 0;

  private constructor(root: string, { workers, clock }: LayerStoreOptions) {
    this.root = root;
    this.emptyDir = join(root, "empty");
    this.#workers = workers;
    this.#clock = clock;
  }

  static async open(root: string, options: LayerStoreOptions): Promise<LayerStore> {
    const store = new LayerStore(resolve(root), options);
    for (const dir of [store.root, join(store.root, "layers"), store.emptyDir]) {
      mkdirSync(dir, { recursive: true, mode: 0o711 });
    }
    chmodSync(store.emptyDir, 0o755);
    for (const point of mountsBelow(store.root).reverse()) unmountQuietly(point);
    await options.workers.run("remove", { path: join(store.root, "tmp") });
    mkdirSync(join(store.root, "tmp"), { mode: 0o711 });
    for (const id of readdirSync(join(store.root, "layers")) as LayerId[]) {
      try {
        store.#load(id);
      } catch (error) {
        const path = join(store.root, "layers", id);
        options.logger.warn("damaged layer is removed", { path, error: String(error) });
        await store.#take(id);
      }
    }
    return store;
  }

  /** @throws Error when the layer's metadata is not what `commit` wrote */
  #load(id: LayerId): void {
    const path = join(this.root, "layers", id, "layer.json");
    const file = JSON.parse(readFileSync(path, "utf8")) as LayerFile;
    if (!isLayerFile(file)) throw new Error("layer.json holds something else");
    const lastUsedAt = statSync(path).mtimeMs;
    this.#layers.set(id, { ...file, lastUsedAt, persistedUseAt: lastUsedAt, pins: 0 });
  }

  has(id: LayerId): boolean {
    return this.#layers.has(id);
  }

  diffPath(id: LayerId): string {
    this.#record(id);
    return join(this.root, "layers", id, "diff");
  }

  /**
   * Diff directories of a stack, topmost first, each followed by its skeleton where the stack needs it. Of a layer that
   * comes twice (a merge may) only the upper one is there: all that the lower one shows or deletes, the upper one does too,
   * and overlayfs refuses the same directory twice.
   */
  mountDirs(layers: readonly LayerId[]): string[] {
    const dirs: string[] = [];
    layers.forEach((id, index) => {
      const record = this.#record(id);
      if (layers.lastIndexOf(id) !== index) return;
      const path = join(this.root, "layers", id);
      if (record.skeleton && !sameStack(record.writtenOn, layers, index)) dirs.push(join(path, "skel"));
      dirs.push(join(path, "diff"));
    });
    return dirs.reverse();
  }

  /** Diff directories of a stack, topmost first, without skeletons. */
  stackDirs(layers: readonly LayerId[]): string[] {
    return [...new Set(layers.map((id) => this.diffPath(id)).reverse())];
  }

  /** Keeps the layers of a ref from removal until the answer is called. @throws BuildError NotFound */
  pin(ref: Ref): () => void {
    const records = ref.layers.map((id) => this.#record(id));
    const now = this.#clock.now();
    records.forEach((record, index) => {
      record.pins++;
      record.lastUsedAt = now;
      if (now - record.persistedUseAt < useResolutionMs) return;
      record.persistedUseAt = now;
      const path = join(this.root, "layers", ref.layers[index] ?? "", "layer.json");
      utimes(path, now / 1000, now / 1000, () => {});
    });
    let pinned = true;
    return () => {
      if (!pinned) return;
      pinned = false;
      for (const record of records) record.pins--;
    };
  }

  /** A fresh directory below tmp with the named sub-directories, each 0755 and owned by root. */
  makeTemp(...children: readonly string[]): string {
    const path = join(this.root, "tmp", String(this.#nextTemp++));
    mkdirSync(path, { mode: 0o711 });
    for (const child of children) {
      mkdirSync(join(path, child));
      chmodSync(join(path, child), 0o755);
    }
    return path;
  }

  async discard(temp: string): Promise<void> {
    await this.#workers.run("remove", { path: temp });
  }

  /**
   * Moves `temp`, which holds a sealed `diff`, to its place among the layers.
   * @throws BuildError AlreadyExists
   */
  commit(id: LayerId, temp: string, sealed: SealedLayer, writtenOn: readonly LayerId[] | undefined): CommittedLayer {
    const now = this.#clock.now();
    const file: LayerFile = {
      sizeBytes: sealed.sizeBytes,
      createdAt: now,
      skeleton: sealed.skeleton,
      ...(sealed.skeleton && writtenOn !== undefined ? { writtenOn } : {}),
    };
    this.checkNewId(id);
    writeFileSync(join(temp, "layer.json"), JSON.stringify(file));
    renameSync(temp, join(this.root, "layers", id));
    this.#layers.set(id, { ...file, lastUsedAt: now, persistedUseAt: now, pins: 0 });
    return { id, sizeBytes: sealed.sizeBytes };
  }

  /** @throws BuildError AlreadyExists, InvalidArgument */
  checkNewId(id: LayerId): void {
    if (!idPattern.test(id)) throw new BuildError(Code.InvalidArgument, `Invalid layer id ${JSON.stringify(id)}`);
    if (this.#layers.has(id) || existsSync(join(this.root, "layers", id))) {
      throw new BuildError(Code.AlreadyExists, `Layer ${id} already exists`);
    }
  }

  *list(): Iterable<StoredLayer> {
    for (const [id, record] of this.#layers) {
      const { sizeBytes, createdAt, lastUsedAt } = record;
      yield { id, sizeBytes, createdAt, lastUsedAt, inUse: record.pins > 0 };
    }
  }

  async remove(id: LayerId): Promise<boolean> {
    const record = this.#layers.get(id);
    if (record === undefined || record.pins > 0) return false;
    this.#layers.delete(id);
    await this.#take(id);
    return true;
  }

  /** Takes a layer's files from their place, in one step, and deletes them. */
  async #take(id: LayerId): Promise<void> {
    const temp = this.makeTemp();
    try {
      renameSync(join(this.root, "layers", id), join(temp, "layer"));
    } catch (error) {
      if (!hasErrno(error, "ENOENT")) throw error;
    }
    await this.discard(temp);
  }

  #record(id: LayerId): LayerRecord {
    const record = this.#layers.get(id);
    if (record === undefined) throw new BuildError(Code.NotFound, `Layer ${id} is not stored here`);
    return record;
  }
}

function isLayerFile({ sizeBytes, createdAt, skeleton, writtenOn = [] }: Partial<LayerFile>): boolean {
  const hasNumbers = Number.isFinite(sizeBytes) && Number.isFinite(createdAt);
  return hasNumbers && typeof skeleton === "boolean" && Array.isArray(writtenOn);
}

function sameStack(writtenOn: readonly LayerId[] | undefined, layers: readonly LayerId[], length: number): boolean {
  return writtenOn?.length === length && writtenOn.every((id, index) => id === layers[index]);
}
