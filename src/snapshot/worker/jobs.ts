import { chmodSync, mkdirSync } from "node:fs";
import type { ByteString } from "../../util/sys/index.ts";
import { compareTrees } from "../diff/compare-trees.ts";
import { EntryCopier } from "../diff/copy-entry.ts";
import type { MergedDir } from "../diff/merged-dir.ts";
import { normalizeLayer } from "../diff/normalize-layer.ts";
import { hostPath } from "../diff/overlay-form.ts";
import { removeTree } from "../diff/remove-tree.ts";
import { makeSkeleton, scanLayer } from "../diff/scan-layer.ts";

/** What a job sees of the outside. `write` resolves when the consumer keeps up. */
export interface ThreadIo {
  readonly input: AsyncIterable<Uint8Array>;
  write(chunk: Uint8Array): Promise<void>;
}

export interface SealedLayer {
  readonly sizeBytes: number;
  readonly entries: number;
  /** True when a skeleton was made, i.e. when the layer deletes something in a sub-directory. */
  readonly skeleton: boolean;
}

/** The work a thread can do. Paths are host paths as text; stacks are topmost first. */
export const jobs = {
  /** Makes a layer directory ready to be committed: normalized against what it was written on, measured. */
  seal(args: {
    readonly layer: string;
    readonly skeleton: string;
    /** Absent: the layer stands as it is. */
    readonly writtenOn?: { readonly lowers: readonly string[] };
  }): SealedLayer {
    const layer = hostPath(args.layer);
    if (args.writtenOn !== undefined) normalizeLayer(layer, stack(args.writtenOn.lowers), { dropUnchanged: true });
    const scan = scanLayer(layer);
    if (scan.whiteoutDirs.length > 0) makeSkeleton(hostPath(args.skeleton), scan.whiteoutDirs);
    return { sizeBytes: scan.sizeBytes, entries: scan.entries, skeleton: scan.whiteoutDirs.length > 0 };
  },

  /** Copies the merged tree of a stack into an existing, empty directory. */
  materialize(args: { readonly lowers: readonly string[]; readonly target: string }): void {
    new EntryCopier().copyChildren(stack(args.lowers), hostPath(args.target));
  },

  /** Layer that turns one stack into another. */
  compare(args: {
    readonly lower: readonly string[];
    readonly upper: readonly string[];
    readonly target: string;
  }): void {
    mkdirSync(args.target, { recursive: true });
    chmodSync(args.target, 0o755);
    compareTrees(stack(args.lower), stack(args.upper), hostPath(args.target));
  },

  remove(args: { readonly path: string }): void {
    removeTree(hostPath(args.path));
  },
};

export type JobKind = keyof typeof jobs;
export type JobArgs<K extends JobKind> = Parameters<(typeof jobs)[K]>[0];
export type JobResult<K extends JobKind> = Awaited<ReturnType<(typeof jobs)[K]>>;

function stack(paths: readonly string[]): MergedDir {
  return paths.map(hostPath) as readonly ByteString[];
}
