import { chownSync, rmdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { LayerId, Ref } from "../core/values/layer.ts";
import { mountOverlay, unmountQuietly } from "../util/sys/index.ts";
import { type Draft, type OpenView, StoreSnapshotter } from "./store-snapshotter.ts";

/**
 * Kernel default or not, a layer must hold its changes by itself: no redirects to the place a directory was renamed from, no
 * metadata-only copies, no index that ties it to its base.
 */
const selfContained = ["index=off", "redirect_dir=off", "metacopy=off"];

/** overlayfs takes 500 lower directories (OVL_MAX_STACK); below that there must be room for the merged view of the rest. */
const maxLowers = 480;

/** Layers as overlayfs lower directories. Needs root, or a user namespace that may mount overlayfs. */
export class OverlaySnapshotter extends StoreSnapshotter {
  readonly name = "overlayfs";

  protected override async openView(ref: Ref): Promise<OpenView> {
    const { lowers, release } = await this.#lowers(ref.layers);
    const temp = this.store.makeTemp("merged");
    const target = join(temp, "merged");
    try {
      if (lowers.length === 1) lowers.push(this.store.emptyDir);
      mountOverlay({ target, lowers, options: selfContained });
    } catch (error) {
      await this.store.discard(temp);
      await release();
      throw mountError(error);
    }
    return {
      path: target,
      close: async () => {
        unmountQuietly(target);
        rmdirSync(target);
        rmdirSync(temp);
        await release();
      },
    };
  }

  protected override async openDraft(ref: Ref): Promise<Draft> {
    const { lowers, release } = await this.#lowers(ref.layers);
    const temp = this.store.makeTemp("diff", "work", "merged");
    const path = join(temp, "merged");
    const upper = join(temp, "diff");
    const work = join(temp, "work");
    try {
      copyRootOwner(this.store.stackDirs(ref.layers.slice(-1))[0], upper);
      if (lowers.length === 0) lowers.push(this.store.emptyDir);
      // `volatile`: no sync of the upper directory on unmount. What is not committed does not survive a crash anyway.
      mountOverlay({ target: path, lowers, writable: { upper, work }, options: [...selfContained, "volatile"] });
    } catch (error) {
      await this.store.discard(temp);
      await release();
      throw mountError(error);
    }
    let mounted = true;
    const close = () => {
      if (!mounted) return;
      mounted = false;
      unmountQuietly(path);
      void release();
    };
    const finish = async () => {
      close();
      rmdirSync(path);
      rmSync(work, { recursive: true });
      return { writtenOn: this.store.stackDirs(ref.layers) };
    };
    return { temp, path, finish, close };
  }

  /** Directories to mount, topmost first. Of a very deep stack the bottom becomes one directory: its merged view. */
  async #lowers(layers: readonly LayerId[]): Promise<{ lowers: string[]; release: () => Promise<void> }> {
    const lowers = this.store.mountDirs(layers);
    if (lowers.length <= maxLowers) return { lowers, release: async () => {} };
    const half = Math.floor(layers.length / 2);
    const bottom = await this.view({ layers: layers.slice(0, half) });
    return {
      lowers: [...lowers.slice(0, lowers.length - this.store.mountDirs(layers.slice(0, half)).length), bottom.path],
      release: async () => bottom[Symbol.asyncDispose](),
    };
  }
}

/** The root directory keeps its owner from layer to layer and is always 0755, as containerd's snapshotter has it. */
export function copyRootOwner(from: string | undefined, to: string): void {
  if (from === undefined) return;
  const { uid, gid } = statSync(from);
  if (uid !== 0 || gid !== 0) chownSync(to, uid, gid);
}

function mountError(error: unknown): BuildError {
  const { message } = error as Error;
  return new BuildError(Code.Internal, `Cannot mount overlayfs: ${message}`, { cause: error, infrastructure: true });
}
