import { mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { LayerService } from "../../src/core/seams/op-runner.ts";
import type { LayerId, LayerInfo, Ref } from "../../src/core/values/layer.ts";
import { mount, unmount } from "../../src/util/sys/index.ts";

/** A LayerService over plain directories and overlay mounts, for steps that need real files under them. */
export class DirectoryLayers implements LayerService {
  readonly #directory: string;
  #serial = 0;
  /** Views and active snapshots not yet disposed. */
  open = 0;

  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true });
  }

  path(id: LayerId): string {
    return join(this.#directory, id);
  }

  /** A new layer to be filled by the test. */
  add(): LayerId {
    const id = this.newId();
    mkdirSync(this.path(id), { mode: 0o755 });
    return id;
  }

  async view(ref: Ref) {
    const path = mkdtempSync(join(this.#directory, "view-"));
    const empty = mkdtempSync(join(this.#directory, "empty-"));
    const lower = [...ref.layers.map((id) => this.path(id)).toReversed(), empty, empty];
    mount(
      "overlay",
      path,
      "overlay",
      0,
      `lowerdir=${[...new Set(lower)].join(":")}:${mkdtempSync(join(this.#directory, "empty-"))}`,
    );
    this.open++;
    return {
      path,
      [Symbol.asyncDispose]: async () => {
        unmount(path, true);
        this.open--;
      },
    };
  }

  async prepare(ref: Ref) {
    const work = mkdtempSync(join(this.#directory, "active-"));
    const [upper, inner, merged, empty] = ["upper", "work", "merged", "empty"].map((name) => join(work, name)) as [
      string,
      string,
      string,
      string,
    ];
    for (const path of [upper, inner, merged, empty]) mkdirSync(path, { mode: 0o755 });
    const lower = [...ref.layers.map((id) => this.path(id)).toReversed(), empty].join(":");
    mount("overlay", merged, "overlay", 0, `lowerdir=${lower},upperdir=${upper},workdir=${inner}`);
    this.open++;
    let mounted = true;
    const end = () => {
      if (!mounted) return;
      mounted = false;
      unmount(merged, true);
      this.open--;
    };
    return {
      path: merged,
      commit: async (id: LayerId) => {
        end();
        renameSync(upper, this.path(id));
        return { id, sizeBytes: 1 };
      },
      [Symbol.asyncDispose]: async () => {
        end();
        rmSync(work, { recursive: true, force: true });
      },
    };
  }

  async ensure(): Promise<void> {}

  newId(): LayerId {
    return `layer${++this.#serial}` as LayerId;
  }

  born(id: LayerId, sizeBytes: number, description: string): LayerInfo {
    return { id, blobs: [], origins: [], holders: [], sizeBytes, createdAt: 0, description };
  }

  info(): undefined {
    return undefined;
  }

  pack(): never {
    throw new Error("not for steps");
  }

  openBlob(): never {
    throw new Error("not for steps");
  }
}
