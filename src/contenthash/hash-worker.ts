import { renameSync, writeFileSync } from "node:fs";
import { threadId } from "node:worker_threads";
import type { Digest } from "../core/values/digest.ts";
import type { LayerId } from "../core/values/layer.ts";
import type { ContentSelector } from "../core/values/task.ts";
import { type BytePath, bytePath, type JobContext, serveJobs } from "../filesystem/index.ts";
import { LruMap } from "../util/lru-map.ts";
import { checksum, selectedNodes } from "./checksum.ts";
import { encodeListing } from "./content-listing.ts";
import { type LayerSeed, LayerTree } from "./layer-tree.ts";
import { type MergedNode, mergeRoots } from "./merged-tree.ts";

export interface ChecksumJob {
  /** Bottom first. */
  readonly layers: readonly { readonly id: LayerId; readonly directory: string }[];
  readonly selectors: readonly ContentSelector[];
  /** The stack is one transferred tree, whose root has no header. */
  readonly transferred: boolean;
}

export interface ListingJob extends ChecksumJob {
  /** Appears when it is whole. */
  readonly file: string;
}

export interface SeedJob {
  readonly id: LayerId;
  readonly paths: readonly BytePath[];
  readonly digests: readonly Digest[];
}

const trees = new LruMap<LayerId, LayerTree>(256);
const seeds = new LruMap<LayerId, LayerSeed>(64);
const stacks = new LruMap<string, MergedNode>(20);

serveJobs({
  /** One digest per selector. */
  checksum(job: ChecksumJob, context: JobContext): readonly Digest[] {
    const root = rootOf(job);
    return job.selectors.map((selector) => checksum(root, selector, context.checkCancelled));
  },

  /** After the checksum of the same, when all that is needed has been read. */
  listing(job: ListingJob, context: JobContext): void {
    const root = rootOf(job);
    const entries = new Map<BytePath, Digest>();
    for (const selector of job.selectors) {
      for (const { path, node } of selectedNodes(root, selector)) {
        const name = node.kind === "directory" ? `${path}/` : path;
        entries.set(name.slice(1) || "./", node.headerDigest(context.checkCancelled));
      }
    }
    const unfinished = `${job.file}.${threadId}`;
    writeFileSync(unfinished, encodeListing(entries));
    renameSync(unfinished, job.file);
  },

  seed(job: SeedJob): void {
    seeds.set(job.id, new Map(job.paths.map((path, i) => [path, job.digests[i] as Digest])));
    trees.delete(job.id);
  },
});

function rootOf({ layers, transferred }: ChecksumJob): MergedNode {
  const key = `${transferred ? "t" : ""}${layers.map((layer) => layer.id).join(",")}`;
  return stacks.get(key, () => {
    const roots = layers.map(({ id, directory }) => treeOf(id, directory).root);
    return mergeRoots(roots.reverse(), transferred);
  });
}

function treeOf(id: LayerId, directory: string): LayerTree {
  return trees.get(id, () => new LayerTree(bytePath(directory), seeds.peek(id)));
}
