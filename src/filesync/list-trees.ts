import {
  type BytePath,
  bytePath,
  comparePaths,
  type FileStat,
  GoMode,
  isGoDir,
  isGoRegular,
  isGoSymlink,
  joinPath,
  textPath,
  walkTree,
} from "../filesystem/index.ts";
import type { SourceEntry, SourceTree } from "./source-tree.ts";

/**
 * Visits the entries of source trees as one tree in protocol order (fsutil SubDirFS and BuildKit's MergeFS). Absolute links
 * are rewritten to stay below their tree's prefix. Trees without a prefix are laid over each other, directories merged.
 * Synchronous.
 * @throws FsError; BadPatternError; Error `cannot overwrite …` when two trees without prefix have the same file
 */
export function listTrees(trees: readonly SourceTree[], visit: (entry: SourceEntry) => void): void {
  const bare = trees.filter((tree) => tree.prefix === "");
  if (bare.length > 1) {
    if (bare.length < trees.length) throw new Error("trees with and without a directory of their own");
    mergeTrees(bare, visit);
    return;
  }
  for (const tree of trees.toSorted((a, b) => (a.prefix < b.prefix ? -1 : a.prefix > b.prefix ? 1 : 0))) {
    const prefix = bytePath(tree.prefix);
    if (prefix !== "") visit({ stat: prefixDirectory(prefix, tree.timeNs ?? 0n), content: undefined });
    listTree(tree, (entry) => visit(prefix === "" ? entry : { ...entry, stat: below(prefix, entry.stat) }));
  }
}

/** Needs all entries at once, because each tree has an order of its own. */
function mergeTrees(trees: readonly SourceTree[], visit: (entry: SourceEntry) => void): void {
  const merged = new Map<BytePath, { readonly entry: SourceEntry; readonly label: string }>();
  for (const tree of trees) {
    const label = tree.label ?? "";
    listTree(tree, (entry) => {
      const { path, mode } = entry.stat;
      const there = merged.get(path);
      if (there !== undefined && !(isGoDir(mode) && isGoDir(there.entry.stat.mode))) {
        throw new Error(
          `cannot overwrite ${textPath(path)} from ${there.label} with ${label} when split option is disabled`,
        );
      }
      merged.set(path, { entry, label });
    });
  }
  for (const path of [...merged.keys()].sort(comparePaths)) {
    const found = merged.get(path);
    if (found !== undefined) visit(found.entry);
  }
}

function listTree(tree: SourceTree, visit: (entry: SourceEntry) => void): void {
  const extra = (tree.extra ?? [])
    .map(({ path, data, timeNs }) => ({ stat: extraStat(bytePath(path), data.length, timeNs), content: { data } }))
    .sort((a, b) => comparePaths(a.stat.path, b.stat.path));
  const emitExtraBefore = (path: BytePath | undefined) => {
    while (extra[0] !== undefined && (path === undefined || comparePaths(extra[0].stat.path, path) <= 0)) {
      const entry = extra.shift();
      if (entry !== undefined) visit(entry);
      if (entry?.stat.path === path) return true;
    }
    return false;
  };
  if (tree.directory !== undefined) {
    const root = bytePath(tree.directory);
    const { owner, timeNs } = tree;
    const map = (stat: FileStat): FileStat => ({
      ...stat,
      ...(owner === undefined ? {} : owner),
      ...(timeNs === undefined ? {} : { modTime: timeNs }),
    });
    // A first name may be filtered out; then the next one carries the content.
    const firstNames = new Map<BytePath, BytePath>();
    walkTree(root, { ...filterOf(tree), map }, (found) => {
      if (emitExtraBefore(found.path)) return undefined;
      visit(sourceEntry(root, found, firstNames));
      return undefined;
    });
  }
  emitExtraBefore(undefined);
}

function filterOf(tree: SourceTree) {
  return {
    ...(tree.includePatterns === undefined ? {} : { includePatterns: tree.includePatterns }),
    ...(tree.excludePatterns === undefined ? {} : { excludePatterns: tree.excludePatterns }),
    ...(tree.followPaths === undefined ? {} : { followPaths: tree.followPaths }),
  };
}

function sourceEntry(root: BytePath, stat: FileStat, firstNames: Map<BytePath, BytePath>): SourceEntry {
  if (!isGoRegular(stat.mode)) return { stat, content: undefined };
  if (stat.linkname === "") {
    firstNames.set(stat.path, stat.path);
    return { stat, content: { file: `${root}/${stat.path}` } };
  }
  const first = firstNames.get(stat.linkname);
  if (first !== undefined) return { stat: { ...stat, linkname: first }, content: undefined };
  firstNames.set(stat.linkname, stat.path);
  return { stat: { ...stat, linkname: "" }, content: { file: `${root}/${stat.path}` } };
}

function below(prefix: BytePath, stat: FileStat): FileStat {
  let { linkname } = stat;
  if (linkname !== "") {
    if (!isGoSymlink(stat.mode)) linkname = joinPath(prefix, linkname);
    else if (linkname.startsWith("/")) linkname = joinPath(`/${prefix}`, linkname);
  }
  return { ...stat, path: `${prefix}/${stat.path}`, linkname };
}

function prefixDirectory(path: BytePath, modTime: bigint): FileStat {
  return { ...emptyStat, path, mode: (GoMode.dir | 0o755) >>> 0, modTime };
}

function extraStat(path: BytePath, size: number, modTime: bigint): FileStat {
  return { ...emptyStat, path, mode: 0o600, size, modTime };
}

const emptyStat: FileStat = {
  path: "",
  mode: 0,
  uid: 0,
  gid: 0,
  size: 0,
  modTime: 0n,
  linkname: "",
  devmajor: 0,
  devminor: 0,
};
