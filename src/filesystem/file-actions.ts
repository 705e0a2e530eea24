import { chmodSync, lstatSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import type {
  ChownOpt,
  FileActionCopy,
  FileActionMkDir,
  FileActionMkFile,
  FileActionRm,
  FileActionSymlink,
} from "../api/gen/ops.ts";
import { type BytePath, bytePath, fsPath, textPath } from "./byte-path.ts";
import { copyTree, makeDirectories, type Owner, setOwner } from "./copier.ts";
import { findWildcards } from "./find-wildcards.ts";
import { attempt, attemptLink, errnoOf, FsError, isMissing } from "./fs-error.ts";
import { dirPath, joinPath, splitPath } from "./go-path.ts";
import { writeTimes } from "./native.ts";
import { resolveInRoot } from "./resolve-in-root.ts";
import { lookupGroup, lookupUser } from "./user-files.ts";

/*
 * The actions of a FileOp on directories (BuildKit solver/llbsolver/file/backend.go). Synchronous; every path is confined to
 * its root. Errors carry the paths the user wrote, where BuildKit's do.
 */

export interface ActionRoots {
  /** Where the action writes. */
  readonly target: BytePath;
  /** Trees whose passwd and group names are looked up in. */
  readonly user?: BytePath;
  readonly group?: BytePath;
}

export function mkdirAction(roots: ActionRoots, action: FileActionMkDir): void {
  const owner = readOwner(roots, action.owner);
  const timeNs = actionTime(action.timestamp);
  withoutRoot([roots.target], () => {
    const path = resolveInRoot(roots.target, bytePath(action.path));
    const mode = action.mode & 0o777;
    if (action.makeParents) {
      makeDirectories(path, mode, owner, timeNs);
      return;
    }
    try {
      attempt("mkdir", path, () => mkdirSync(fsPath(path), mode));
    } catch (error) {
      if (errnoOf(error) === "EEXIST") return;
      throw error;
    }
    chmodSync(fsPath(path), mode);
    finish(path, owner, timeNs);
  });
}

export function mkfileAction(roots: ActionRoots, action: FileActionMkFile): void {
  const owner = readOwner(roots, action.owner);
  withoutRoot([roots.target], () => {
    const path = resolveInRoot(roots.target, joinPath("/", bytePath(action.path)));
    const existing = lstatOrMissing(path);
    // A device node of a hostile image must not be written to, and a FIFO would wait for a reader.
    if (existing !== undefined && !existing.isFile() && !existing.isDirectory())
      throw new FsError("open", path, "EPERM");
    attempt("open", path, () => writeFileSync(fsPath(path), action.data, { mode: 0o600 }));
    if (existing === undefined) chmodSync(fsPath(path), action.mode & 0o777);
    finish(path, owner, actionTime(action.timestamp));
  });
}

export function symlinkAction(roots: ActionRoots, action: FileActionSymlink): void {
  const owner = readOwner(roots, action.owner);
  withoutRoot([roots.target], () => {
    const path = resolveInRoot(roots.target, joinPath("/", bytePath(action.newpath)));
    const target = bytePath(action.oldpath);
    attemptLink("symlink", target, path, () => symlinkSync(fsPath(target), fsPath(path)));
    finish(path, owner, actionTime(action.timestamp));
  });
}

export function rmAction(roots: ActionRoots, action: FileActionRm): void {
  withoutRoot([roots.target], () => {
    const paths = action.allowWildcard
      ? findWildcards(roots.target, cleanSource(bytePath(action.path)), false)
      : [bytePath(action.path)];
    for (const path of paths) remove(roots.target, path, action.allowNotFound);
  });
}

function remove(root: BytePath, path: BytePath, allowMissing: boolean): void {
  const [directory, name] = splitPath(joinPath("/", path));
  if (name === "") throw new Error("rmPath: invalid empty path");
  const full = joinPath(resolveInRoot(root, directory), name);
  if (!allowMissing) {
    // A link counts as missing when its target is.
    const target = resolveInRoot(root, full.slice(root.length));
    try {
      attempt("stat", full, () => lstatSync(fsPath(target)));
    } catch (error) {
      if (isMissing(error)) throw error;
    }
  }
  attempt("unlinkat", full, () => rmSync(fsPath(full), { recursive: true, force: true }));
}

/** Sources of a copy, after wildcards; undefined when there are none and that is allowed. */
export function copySources(source: BytePath, target: BytePath, action: FileActionCopy): readonly BytePath[] {
  return withoutRoot([source, target], () => {
    const path = cleanSource(bytePath(action.src));
    if (!action.allowWildcard) return [path];
    const found = findWildcards(source, path, action.followSymlink);
    if (found.length === 0 && !action.allowEmptyWildcard) throw new Error(`${textPath(path)} not found`);
    return found;
  });
}

/** What has to hold before anything is copied. */
export function checkCopyTarget(target: BytePath, action: FileActionCopy): void {
  if (action.createDestPath) return;
  const path = resolveInRoot(target, joinPath("/", bytePath(action.dest)));
  try {
    attempt("lstat", dirPath(path), () => lstatSync(fsPath(dirPath(path))));
  } catch (error) {
    throw error instanceof FsError ? error.wrap(`failed to stat ${action.dest}`) : error;
  }
}

export function copyAction(
  roots: ActionRoots,
  source: BytePath,
  path: BytePath,
  action: FileActionCopy,
  checkCancelled: () => void,
): void {
  const owner = readOwner(roots, action.owner);
  const timeNs = actionTime(action.timestamp);
  withoutRoot([source, roots.target], () =>
    copyTree(source, path, roots.target, cleanSource(bytePath(action.dest)), {
      ...(owner === undefined ? {} : { owner }),
      ...(timeNs === undefined ? {} : { timeNs }),
      ...(action.modeStr === "" ? (action.mode === -1 ? {} : { mode: action.mode }) : { modeText: action.modeStr }),
      contents: action.dirCopyContents,
      followLinks: action.followSymlink,
      replaceExisting: action.alwaysReplaceExistingDestPaths,
      includePatterns: action.includePatterns,
      excludePatterns: action.excludePatterns,
      checkCancelled,
    }),
  );
}

/** Directory an archive is unpacked into, made if need be. */
export function unpackTarget(roots: ActionRoots, action: FileActionCopy): { path: BytePath; owner: Owner | undefined } {
  const owner = readOwner(roots, action.owner);
  const path = resolveInRoot(roots.target, cleanSource(bytePath(action.dest)));
  makeDirectories(path, 0o755, owner, actionTime(action.timestamp));
  return { path, owner };
}

/** Full path of a regular file, else undefined: only those can be archives. */
export function archiveCandidate(source: BytePath, path: BytePath): BytePath | undefined {
  const full = resolveInRoot(source, path);
  return lstatOrMissing(full)?.isFile() ? full : undefined;
}

/** Absolute and clean, but a last `/` or `/.` stays: it says that a directory is meant. */
function cleanSource(path: BytePath): BytePath {
  const clean = joinPath("/", path);
  if (path.endsWith("/.")) return clean === "/" ? "/." : `${clean}/.`;
  return path.endsWith("/") && clean !== "/" ? `${clean}/` : clean;
}

/**
 * Owner of an action: names are looked up in the given roots, an unknown name is 0, a user alone also gives the group
 * (BuildKit solver/llbsolver/ops/user_linux.go).
 */
export function readOwner(roots: ActionRoots, owner: ChownOpt | undefined): Owner | undefined {
  if (owner === undefined) return undefined;
  let uid = 0;
  let gid = 0;
  const user = owner.user?.user;
  if (user?.$case === "byName") {
    if (roots.user === undefined) throw new Error("invalid missing user mount");
    const found = lookupUser(roots.user, user.value.name);
    uid = found?.uid ?? 0;
    gid = found?.gid ?? 0;
  } else if (user?.$case === "byID") {
    uid = user.value;
    gid = user.value;
  }
  const group = owner.group?.user;
  if (group?.$case === "byName") {
    if (roots.group === undefined) throw new Error("invalid missing group mount");
    gid = lookupGroup(roots.group, group.value.name) ?? gid;
  } else if (group?.$case === "byID") {
    gid = group.value;
  }
  return { uid, gid };
}

/** −1 is none. */
function actionTime(timestamp: bigint | number): bigint | undefined {
  const value = BigInt(timestamp);
  return value === -1n ? undefined : value;
}

function finish(path: BytePath, owner: Owner | undefined, timeNs: bigint | undefined): void {
  setOwner(path, owner);
  if (timeNs !== undefined) writeTimes(path, timeNs);
}

function lstatOrMissing(path: BytePath) {
  try {
    return lstatSync(fsPath(path));
  } catch {
    return undefined;
  }
}

function withoutRoot<T>(roots: readonly BytePath[], call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (error instanceof FsError) for (const root of roots) error.trimRoot(root);
    throw error;
  }
}
