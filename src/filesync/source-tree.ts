import type { BytePath, FileStat } from "../filesystem/index.ts";

/** One directory that is sent, and where it appears on the other side. */
export interface SourceTree {
  /** Absolute; undefined for a tree of `extra` files only. */
  readonly directory: string | undefined;
  /** Directory that it is sent as; empty for the root. One component. */
  readonly prefix: string;
  /** Names the tree in errors. */
  readonly label?: string;
  readonly includePatterns?: readonly string[];
  readonly excludePatterns?: readonly string[];
  readonly followPaths?: readonly string[];
  /** Owner of everything instead of the real one. */
  readonly owner?: { readonly uid: number; readonly gid: number };
  /** Time of everything instead of the real one. */
  readonly timeNs?: bigint;
  /** Files that are not on disk; they win over files of the same name. Paths are relative to the tree. */
  readonly extra?: readonly { readonly path: string; readonly data: Uint8Array; readonly timeNs: bigint }[];
}

/** An entry of a source tree with where its bytes are. */
export interface SourceEntry {
  readonly stat: FileStat;
  /** Set for regular files under their first name. */
  readonly content: { readonly file: BytePath } | { readonly data: Uint8Array } | undefined;
}
