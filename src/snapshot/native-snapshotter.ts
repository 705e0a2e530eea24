import { chmodSync } from "node:fs";
import { join } from "node:path";
import type { Ref } from "../core/values/layer.ts";
import { copyRootOwner } from "./overlay-snapshotter.ts";
import { type Draft, type OpenView, StoreSnapshotter } from "./store-snapshotter.ts";

/**
 * Plain copies, for machines without overlayfs: a view or a writable snapshot is the merged tree copied out (sharing blocks
 * where the filesystem can), and a commit compares it with the stack below. Costs time and space in proportion to the image.
 */
export class NativeSnapshotter extends StoreSnapshotter {
  readonly name = "native";

  protected override async openView(ref: Ref): Promise<OpenView> {
    const { temp, path } = await this.#copyOut(ref);
    return { path, close: () => this.store.discard(temp) };
  }

  protected override async openDraft(ref: Ref): Promise<Draft> {
    const { temp, path } = await this.#copyOut(ref);
    const finish = async () => {
      const target = join(temp, "diff");
      await this.workers.run("compare", { lower: this.store.stackDirs(ref.layers), upper: [path], target });
      copyRootOwner(path, target);
      await this.workers.run("remove", { path });
      return {};
    };
    return { temp, path, finish, close: () => {} };
  }

  async #copyOut(ref: Ref): Promise<{ temp: string; path: string }> {
    const temp = this.store.makeTemp("tree");
    const path = join(temp, "tree");
    const lowers = this.store.stackDirs(ref.layers);
    try {
      copyRootOwner(lowers[0], path);
      await this.workers.run("materialize", { lowers, target: path });
      chmodSync(path, 0o755);
    } catch (error) {
      await this.store.discard(temp);
      throw error;
    }
    return { temp, path };
  }
}
