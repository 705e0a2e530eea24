import type { LayerId, Ref } from "../values/layer.ts";

/**
 * Keeps unpacked layers of one agent and shows stacks of them as directories.
 *
 * A **layer** is one immutable filesystem diff, stored as a directory in overlayfs form: a deleted path is a character device
 * 0/0, an opaque directory has xattr `trusted.overlay.opaque=y`. Every snapshotter stores layers in this one form, so that
 * hashing, packing and moving layers do not care which snapshotter made them; only `view` and `prepare` differ.
 *
 * Lifecycle: `ingest` or `prepare` gives a writable directory under a lease of its own; `commit` turns it into a layer under
 * an id never used before and ends it; disposing without commit throws it away. Commit is atomic: after a crash a layer is
 * whole or absent. A committed layer is never changed. `view` and `prepare` pin the layers they stand on until disposed.
 */
export interface Snapshotter {
  /** `overlayfs` or `native`, as in worker label `org.mobyproject.buildkit.worker.snapshotter`. */
  readonly name: string;

  /** True when the layer is stored here and whole. */
  has(id: LayerId): boolean;

  /**
   * The layer's diff directory. Read only.
   * @throws BuildError NotFound
   */
  layerPath(id: LayerId): string;

  /** Empty directory to fill with one layer's diff (from a blob or a client). No mount is made. */
  ingest(signal?: AbortSignal): Promise<Ingest>;

  /** Read-only merged directory of a stack. */
  view(ref: Ref, signal?: AbortSignal): Promise<MountedView>;

  /** Writable merged directory on top of a stack. */
  prepare(ref: Ref, signal?: AbortSignal): Promise<ActiveSnapshot>;

  /** All layers stored. */
  list(): Iterable<StoredLayer>;

  /**
   * Deletes a layer that nothing pins.
   * @returns false when it is in use or unknown
   */
  remove(id: LayerId): Promise<boolean>;
}

export interface StoredLayer {
  readonly id: LayerId;
  /** Bytes on disk of this diff alone. */
  readonly sizeBytes: number;
  readonly createdAt: number;
  readonly lastUsedAt: number;
  readonly inUse: boolean;
}

export interface Ingest extends AsyncDisposable {
  readonly path: string;
  commit(id: LayerId): Promise<CommittedLayer>;
}

export interface MountedView extends AsyncDisposable {
  /** Absolute path of the merged tree; valid until disposed. */
  readonly path: string;
}

export interface ActiveSnapshot extends AsyncDisposable {
  /** Absolute path of the merged, writable tree. */
  readonly path: string;
  /** Unmounts and stores what was changed as one layer. */
  commit(id: LayerId): Promise<CommittedLayer>;
}

export interface CommittedLayer {
  readonly id: LayerId;
  readonly sizeBytes: number;
}
