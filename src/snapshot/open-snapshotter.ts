import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../core/seams/clock.ts";
import { type Logger, silentLogger } from "../core/seams/logger.ts";
import type { Snapshotter } from "../core/seams/snapshotter.ts";
import { getXattr, mountOverlay, setXattr, unmountQuietly } from "../util/sys/index.ts";
import { systemClock } from "../util/system-clock.ts";
import { LayerStore } from "./layer-store.ts";
import { NativeSnapshotter } from "./native-snapshotter.ts";
import { OverlaySnapshotter } from "./overlay-snapshotter.ts";
import type { LayerWorkers } from "./worker/layer-workers.ts";

export interface SnapshotterOptions {
  /** Threads for walking and copying; stay the caller's, to be stopped after the snapshotter. */
  readonly workers: LayerWorkers;
  readonly clock?: Clock;
  readonly logger?: Logger;
}

/** Opens the layer store at `root`, cleans up after an earlier process, and picks the snapshotter; `auto` probes overlayfs. */
export async function openSnapshotter(
  root: string,
  name: "overlayfs" | "native" | "auto",
  options: SnapshotterOptions,
): Promise<Snapshotter & AsyncDisposable> {
  const { workers, clock = systemClock, logger = silentLogger } = options;
  const store = await LayerStore.open(root, { workers, clock, logger });
  const overlay = name === "overlayfs" || (name === "auto" && canMountOverlay(store));
  return overlay ? new OverlaySnapshotter(store, workers) : new NativeSnapshotter(store, workers);
}

/** Tries what OverlaySnapshotter does: a writable mount on the store's own filesystem, and overlay attributes. */
function canMountOverlay(store: LayerStore): boolean {
  const temp = store.makeTemp("upper", "work", "merged");
  const target = join(temp, "merged");
  const upper = join(temp, "upper");
  try {
    mountOverlay({
      target,
      lowers: [store.emptyDir],
      writable: { upper, work: join(temp, "work") },
      options: ["index=off", "redirect_dir=off", "metacopy=off", "volatile"],
    });
    mkdirSync(join(target, "probe"));
    setXattr(join(upper, "probe"), "trusted.overlay.opaque", Buffer.from("y"));
    return getXattr(join(upper, "probe"), "trusted.overlay.opaque") !== undefined;
  } catch {
    return false;
  } finally {
    unmountQuietly(target);
    rmSync(temp, { recursive: true, force: true });
  }
}
