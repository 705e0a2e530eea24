import { createHash } from "node:crypto";
import { posix } from "node:path";
import { CacheSharingOpt, type Mount, MountType } from "../../api/gen/ops.ts";
import { BuildError } from "../errors/build-error.ts";
import { Code } from "../errors/code.ts";
import type { Ref } from "./layer.ts";

/** `private`: one user of a directory at a time; `locked`: of the mount, in the whole fleet (map c9). */
export type CacheSharing = "shared" | "private" | "locked";

/** A cache mount as a step asks for it. */
export interface CacheMountUse {
  readonly id: string;
  /** `id`, or `id:<input>[:<selected part>]` for one that starts from an input: then `nested`. */
  readonly key: string;
  readonly nested: boolean;
  readonly sharing: CacheSharing;
}

/** An agent's directory with some version of a mount. */
export interface CacheMountHolder {
  readonly agentId: string;
  readonly entryId: string;
  /** Random, made anew when a step has succeeded with it. */
  readonly version: string;
  /** 0 while unknown. */
  readonly sizeBytes: number;
}

/** What the fleet knows of a cache mount (ADR-0008). */
export interface CacheMountInfo {
  readonly key: string;
  /** Made anew when the mount is pruned as a whole (ignore_cache): what agents keep from another epoch counts no more. */
  readonly epoch: string;
  /** Newest version first. */
  readonly holders: readonly CacheMountHolder[];
}

export function isCacheMountInfo(value: unknown): value is CacheMountInfo {
  if (typeof value !== "object" || value === null) return false;
  const { key, epoch, holders } = value as Partial<CacheMountInfo>;
  return typeof key === "string" && typeof epoch === "string" && Array.isArray(holders) && holders.every(isHolder);
}

function isHolder(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { agentId, entryId, version, sizeBytes } = value as Partial<CacheMountHolder>;
  return [agentId, entryId, version].every((id) => typeof id === "string") && typeof sizeBytes === "number";
}

/** A version that a step has left behind. */
export interface PublishedCacheMount extends Omit<CacheMountHolder, "agentId"> {
  readonly key: string;
  readonly epoch: string;
  /** Begun empty, since what others have could not be copied then, or a copy of theirs: theirs stay the newer ones. */
  readonly cold: boolean;
}

/** Broadcast: directories that an agent has no more. */
export interface CacheMountsDropped {
  readonly agentId: string;
  readonly entryIds: readonly string[];
}

/** Broadcast: the size of a directory, measured since its version was published. */
export interface CacheMountSized extends Omit<CacheMountHolder, "version"> {
  readonly key: string;
}

/** Broadcast: mounts that start anew, `id` itself or all of it that start from an input. */
export interface CacheMountsForgotten {
  readonly id: string;
  readonly nested: boolean;
  /** Of the build: directories already used for one of these stay. */
  readonly sessionIds: readonly string[];
}

const noInput = -1;

/**
 * @param inputs what `mount.input` counts
 * @throws BuildError for options that no client should send
 */
export function cacheMountUse(mount: Mount, inputs: readonly Ref[]): CacheMountUse {
  const options = mount.cacheOpt;
  if (options === undefined) throw new BuildError(Code.Unknown, "missing cache mount options");
  const { ID: id } = options;
  const sharing = sharingName(options.sharing);
  if (mount.input === noInput) return { id, key: id, nested: false, sharing };
  const ref = inputs[mount.input];
  if (ref === undefined) throw new BuildError(Code.Unknown, `missing input ${mount.input}`);
  // A copy of the selected part alone is kept, so that part belongs to the key.
  const selected = posix.join("/", mount.selector);
  return { id, key: `${id}:${refName(ref)}${selected === "/" ? "" : `:${selected}`}`, nested: true, sharing };
}

/** The cache mounts of a step, those left out that its agent will refuse. */
export function cacheMountUses(mounts: readonly Mount[], inputs: readonly Ref[]): readonly CacheMountUse[] {
  return mounts.flatMap((mount) => {
    if (mount.mountType !== MountType.CACHE) return [];
    try {
      return cacheMountUse(mount, inputs);
    } catch {
      return [];
    }
  });
}

function sharingName(sharing: number): CacheSharing {
  switch (sharing) {
    case CacheSharingOpt.SHARED:
      return "shared";
    case CacheSharingOpt.PRIVATE:
      return "private";
    case CacheSharingOpt.LOCKED:
      return "locked";
    default:
      throw new BuildError(Code.Unknown, `invalid cache sharing option: ${sharing}`);
  }
}

/** Stands for BuildKit's id of the input ref in a cache mount's key. */
function refName(ref: Ref): string {
  return createHash("sha256").update(ref.layers.join("\0")).digest("hex");
}
