import type { Digest } from "../core/values/digest.ts";
import type { LayerId } from "../core/values/layer.ts";
import type { ContentSelector } from "../core/values/task.ts";
import { type BytePath, bytePath, type JobContext, serveJobs } from "../filesystem/index.ts";
import { LruMap } from "../util/lru-map.ts";
import { checksum } from "./checksum.ts";
import { type LayerSeed, LayerTree } from "./layer-tree.ts";
import { type MergedNode, mergeRoots } from "./merged-tree.ts";

export interface ChecksumJob {
  /** Bottom first. */
  readonly layers: readonly { readonly id: LayerId; readonly directory: string }[];
  readonly selectors: readonly ContentSelector[];
  /** The stack is one transferred tree, whose root has no header. */
  readonly transferred: boolean;
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
    const key = `${job.transferred ? "t" : ""}${job.layers.map((layer) => layer.id).join(",")}`;
    const root = stacks.get(key, () => {
      const roots = job.layers.map(({ id, directory }) => treeOf(id, directory).root);
      return mergeRoots(roots.reverse(), job.transferred);
    });
    return job.selectors.map((selector) => checksum(root, selector, context.checkCancelled));
  },

  seed(job: SeedJob): void {
    seeds.set(job.id, new Map(job.paths.map((path, i) => [path, job.digests[i] as Digest])));
    trees.delete(job.id);
  },
});

function treeOf(id: LayerId, directory: string): LayerTree {
  return trees.get(id, () => new LayerTree(bytePath(directory), seeds.peek(id)));
}
