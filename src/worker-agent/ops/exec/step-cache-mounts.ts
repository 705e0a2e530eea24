import { type Mount, MountType } from "../../../api/gen/ops.ts";
import type { RunContext } from "../../../core/seams/op-runner.ts";
import type { ProgressWriter } from "../../../core/seams/progress.ts";
import {
  type CacheMountHolder,
  type CacheMountInfo,
  type CacheMountUse,
  cacheMountUse,
  type PublishedCacheMount,
} from "../../../core/values/cache-mount.ts";
import type { Ref } from "../../../core/values/layer.ts";
import type { Task } from "../../../core/values/task.ts";
import type { CacheMountCopier } from "../cache-mount-copier.ts";
import type { CacheMountLease } from "./cache-mount-lease.ts";
import type { CacheMountStore } from "./cache-mount-store.ts";

/** What an agent has for the cache mounts of its steps. */
export interface CacheMountAccess {
  readonly cacheMounts: CacheMountStore;
  /** Brings what other agents have. */
  readonly copier: Pick<CacheMountCopier, "fetch">;
}

/** Where one step's cache mounts come from. */
export interface CacheMountSources extends CacheMountAccess {
  /** What the coordinator knows of the mounts. */
  readonly infos: readonly CacheMountInfo[];
  readonly peers: Readonly<Record<string, string>>;
  readonly progress: ProgressWriter;
  readonly sessionIds: readonly string[];
}

export function cacheMountSources(
  { cacheMounts, copier }: CacheMountAccess,
  task: Task,
  { progress, sessions }: RunContext,
): CacheMountSources {
  return { cacheMounts, copier, infos: task.cacheMounts, peers: task.peers, progress, sessionIds: sessions.ids };
}

/** Has the newest version of a mount here, used by nobody. @returns undefined when it is here already, or cannot be had */
export function copyCacheMount(
  sources: CacheMountSources,
  { key, sharing }: CacheMountUse,
  signal: AbortSignal,
): Promise<PublishedCacheMount | undefined> {
  const request = requestFor(sources, key, signal);
  return sources.cacheMounts.copy({ ...request, sharing, description: `copy of cache mount ${key}` }, signal);
}

function requestFor(
  { copier, infos, peers, progress, sessionIds }: CacheMountSources,
  key: string,
  signal: AbortSignal,
) {
  const { epoch, holders } = infos.find((info) => info.key === key) ?? { epoch: "", holders: [] };
  const copy = (newer: readonly CacheMountHolder[], directory: string) =>
    copier.fetch(newer, directory, { peers, progress, signal });
  return { key, sessionIds, epoch, holders, copy };
}

export interface CacheMountWants {
  readonly mounts: readonly Mount[];
  readonly inputs: readonly Ref[];
  readonly describe: (mount: Mount) => string;
  /** Fills the path of a new mount that starts from an input. */
  readonly seed: (mount: Mount, path: string) => Promise<void>;
}

/**
 * The cache mounts of one step, one directory for each key. They are taken in the order of their keys, so that no two steps
 * wait for each other. Disposing gives them back as of a step that failed.
 */
export class StepCacheMounts implements AsyncDisposable {
  readonly #sources: CacheMountSources;
  readonly #leases = new Map<string, CacheMountLease>();

  private constructor(sources: CacheMountSources) {
    this.#sources = sources;
  }

  static async take(sources: CacheMountSources, wants: CacheMountWants, signal: AbortSignal): Promise<StepCacheMounts> {
    const taken = new StepCacheMounts(sources);
    const uses = new Map<string, { readonly use: CacheMountUse; readonly mount: Mount }>();
    for (const mount of wants.mounts) {
      if (mount.mountType !== MountType.CACHE) continue;
      const use = cacheMountUse(mount, wants.inputs);
      // The first to name a directory decides how it is shared and described.
      if (!uses.has(use.key)) uses.set(use.key, { use, mount });
    }
    try {
      for (const key of [...uses.keys()].sort()) {
        const found = uses.get(key);
        if (found !== undefined) taken.#leases.set(key, await taken.#acquire(found.use, found.mount, wants, signal));
      }
      return taken;
    } catch (error) {
      await taken[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** @returns where the directory with a key is */
  path(key: string): string {
    const lease = this.#leases.get(key);
    if (lease === undefined) throw new Error(`cache mount ${key} was not taken`);
    return lease.path;
  }

  /** Gives them back as of a step that succeeded. @returns what others may have now */
  async publish(): Promise<readonly PublishedCacheMount[]> {
    const published: PublishedCacheMount[] = [];
    for (const [key, lease] of this.#leases) {
      this.#leases.delete(key);
      const version = await lease.publish();
      if (version !== undefined) published.push(version);
    }
    return published;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const [key, lease] of this.#leases) {
      this.#leases.delete(key);
      await lease[Symbol.asyncDispose]();
    }
  }

  async #acquire(
    { key, nested, sharing }: CacheMountUse,
    mount: Mount,
    { describe, seed }: CacheMountWants,
    signal: AbortSignal,
  ): Promise<CacheMountLease> {
    return this.#sources.cacheMounts.acquire(
      {
        ...requestFor(this.#sources, key, signal),
        sharing,
        description: describe(mount),
        ...(nested ? { seed: (path: string) => seed(mount, path) } : {}),
      },
      signal,
    );
  }
}
