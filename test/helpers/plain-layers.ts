import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LayerService } from "../../src/core/seams/op-runner.ts";
import type { ActiveSnapshot, MountedView } from "../../src/core/seams/snapshotter.ts";
import type { LayerId, LayerInfo, Ref } from "../../src/core/values/layer.ts";

/**
 * Layers for tests of ops: the last layer of a ref is a directory with the whole tree, not a diff. `open` counts views and
 * snapshots that are not disposed.
 */
export class PlainLayers implements LayerService, AsyncDisposable {
  readonly root: string;
  open = 0;
  #next = 0;

  constructor(root: string) {
    this.root = root;
  }

  static async create(): Promise<PlainLayers> {
    const root = await mkdtemp(join(tmpdir(), "layers-"));
    await mkdir(join(root, "empty"), { mode: 0o755 });
    return new PlainLayers(root);
  }

  /** Directory of the whole tree of a ref. */
  path(ref: Ref): string {
    return join(this.root, ref.layers.at(-1) ?? "empty");
  }

  async add(fill: (directory: string) => void): Promise<Ref> {
    const id = this.newId();
    await mkdir(join(this.root, id), { mode: 0o755 });
    fill(join(this.root, id));
    return { layers: [id] };
  }

  newId(): LayerId {
    return `layer-${this.#next++}` as LayerId;
  }

  born(id: LayerId, sizeBytes: number, description: string, recordType?: string): LayerInfo {
    return {
      id,
      blobs: [],
      origins: [],
      holders: [],
      sizeBytes,
      createdAt: 0,
      description,
      ...(recordType === undefined ? {} : { recordType }),
    };
  }

  info(): LayerInfo | undefined {
    return undefined;
  }

  async ensure(): Promise<void> {}

  async view(ref: Ref): Promise<MountedView> {
    this.open++;
    return {
      path: this.path(ref),
      [Symbol.asyncDispose]: async () => {
        this.open--;
      },
    };
  }

  async prepare(ref: Ref): Promise<ActiveSnapshot> {
    this.open++;
    const path = join(this.root, `active-${this.#next++}`);
    execFileSync("cp", ["-a", this.path(ref), path]);
    let done = false;
    const dispose = async () => {
      if (done) return;
      done = true;
      this.open--;
      await rm(path, { recursive: true, force: true });
    };
    return {
      path,
      commit: async (id) => {
        await rename(path, join(this.root, id));
        done = true;
        this.open--;
        return { id, sizeBytes: 0 };
      },
      [Symbol.asyncDispose]: dispose,
    };
  }

  pack(): never {
    throw new Error("not used");
  }

  openBlob(): never {
    throw new Error("not used");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.root, { recursive: true, force: true });
  }
}
