import {
  type BigIntStats,
  chmodSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  unlinkSync,
} from "node:fs";
import { type BytePath, fsPath, textPath } from "./byte-path.ts";
import { copyFileBytes } from "./copy-file.ts";
import { deviceMajor, deviceMinor, S_IFBLK, S_IFCHR, S_IFMT } from "./file-mode.ts";
import { attempt, attemptLink, attemptWith, errnoOf } from "./fs-error.ts";
import { basePath, cleanPath, dirPath, joinPath, splitPath } from "./go-path.ts";
import { readXattrs, writeNode, writeTimes, writeXattr } from "./native.ts";
import { compilePatterns, type ParentMatches, type PatternMatcher } from "./pattern-matcher.ts";
import { resolveInRoot } from "./resolve-in-root.ts";
import { parseSymbolicMode } from "./symbolic-mode.ts";
import { listDirectory } from "./walk.ts";

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export interface CopyOptions {
  /** Owner of everything that is copied or made; default: as in the source, root for made parents. */
  readonly owner?: Owner;
  /** Time of everything that is copied or made. */
  readonly timeNs?: bigint;
  /** Unix permission bits. */
  readonly mode?: number;
  /** `u=rwX,go=rX`; wins over `mode`. */
  readonly modeText?: string;
  /** Copy what is in the source directory, not the directory itself. */
  readonly contents: boolean;
  readonly followLinks: boolean;
  readonly replaceExisting: boolean;
  readonly includePatterns: readonly string[];
  readonly excludePatterns: readonly string[];
  /** Throws to stop. */
  readonly checkCancelled: () => void;
}

/**
 * Copies one path of a source root to a path of a target root with `cp -a` semantics (fsutil copy.Copy). All paths are
 * confined to their roots; the trees must not change meanwhile. Synchronous.
 * @throws FsError with full paths; Error
 */
export function copyTree(
  sourceRoot: BytePath,
  source: BytePath,
  targetRoot: BytePath,
  target: BytePath,
  options: CopyOptions,
): void {
  const parentMode = options.mode === undefined ? 0o755 : options.mode & 0o777;
  const made: BytePath[] = [];
  const makeParents = (path: BytePath) =>
    made.push(...makeDirectories(path, parentMode, options.owner, options.timeNs));

  const [directory, file] = splitPath(target);
  const parent = file !== "" && file !== "." ? directory : target;
  if (parent !== "") makeParents(resolveInRoot(targetRoot, parent));

  const resolvedTarget = resolveInRoot(targetRoot, cleanPath(target));
  const copier = new Copier(options);
  const resolvedSource = resolveSource(sourceRoot, source, options.followLinks);

  const sourceStats = lstat(resolvedSource);
  const targetStats = lstatIfAny(resolvedTarget, "failed to lstat destination path");
  let destination = resolvedTarget;
  if (sourceStats.isDirectory() ? !options.contents && targetStats !== undefined : targetStats?.isDirectory()) {
    destination = joinPath(resolvedTarget, basePath(source));
  }
  const intoNew = options.contents && sourceStats.isDirectory() && targetStats === undefined;
  makeParents(intoNew ? destination : dirPath(destination));
  copier.copy(resolvedSource, "", destination, { overwriteMetadata: false });

  if (options.timeNs !== undefined) for (const path of made.reverse()) writeTimes(path, options.timeNs);
}

/** A source path: links on the way are followed, one at the end only when `followLinks` is set. */
export function resolveSource(root: BytePath, path: BytePath, followLinks: boolean): BytePath {
  return resolveInRoot(root, joinPath("/", path), { followLast: followLinks });
}

/**
 * `mkdir -p` with mode, owner and time for what is made.
 * @returns directories made, outermost first
 */
export function makeDirectories(
  path: BytePath,
  mode: number,
  owner: Owner | undefined,
  timeNs: bigint | undefined,
): BytePath[] {
  const existing = lstatIfAny(path);
  if (existing?.isDirectory()) return [];
  if (existing !== undefined) attempt("mkdir", path, () => fail("ENOTDIR"));
  const made = path.lastIndexOf("/") > 0 ? makeDirectories(dirPath(path), mode, owner, timeNs) : [];
  attempt("mkdir", path, () => mkdirSync(fsPath(path), mode));
  attempt("chmod", path, () => chmodSync(fsPath(path), mode));
  made.push(path);
  setOwner(path, owner);
  if (timeNs !== undefined) writeTimes(path, timeNs);
  return made;
}

export function setOwner(path: BytePath, owner: Owner | undefined): void {
  if (owner !== undefined) attempt("lchown", path, () => lchownSync(fsPath(path), owner.uid, owner.gid));
}

function fail(code: string): never {
  throw Object.assign(new Error(code), { code });
}

function lstat(path: BytePath): BigIntStats {
  return attempt("lstat", path, () => lstatSync(fsPath(path), { bigint: true }));
}

function lstatIfAny(path: BytePath, context?: string): BigIntStats | undefined {
  const call = () => attempt("lstat", path, () => lstatSync(fsPath(path), { bigint: true, throwIfNoEntry: false }));
  return context === undefined ? call() : attemptWith(() => context, call);
}

interface Step {
  /** Directories that are there already get the source's mode, owner and times. */
  readonly overwriteMetadata: boolean;
  readonly include?: ParentMatches;
  readonly exclude?: ParentMatches;
}

interface PendingDirectory {
  readonly source: BytePath;
  readonly target: BytePath;
  made: boolean;
}

/** One copy run: remembers hard links and the directories whose making waits for a first match below them. */
class Copier {
  readonly #options: CopyOptions;
  readonly #include: PatternMatcher | undefined;
  readonly #exclude: PatternMatcher | undefined;
  readonly #changeMode: ((permissions: number, isDirectory: boolean) => number) | undefined;
  readonly #copied = new Map<string, BytePath>();
  readonly #pending: PendingDirectory[] = [];

  constructor(options: CopyOptions) {
    this.#options = options;
    if (options.modeText !== undefined) this.#changeMode = parseSymbolicMode(options.modeText);
    this.#include = compilePatterns("includepatterns", options.includePatterns);
    this.#exclude = compilePatterns("excludepatterns", options.excludePatterns);
  }

  /** @param relative path below the source that is copied; empty for the source itself, which no pattern is tried on */
  copy(source: BytePath, relative: BytePath, target: BytePath, step: Step): void {
    this.#options.checkCancelled();
    let taken = true;
    let excluded = false;
    let include: ParentMatches | undefined;
    let exclude: ParentMatches | undefined;
    if (relative !== "" && (this.#include !== undefined || this.#exclude !== undefined)) {
      const text = textPath(relative);
      const included = this.#include?.matchBelow(text, step.include);
      if (included !== undefined) {
        taken = included.matched;
        include = included.parents;
      }
      const match = this.#exclude?.matchBelow(text, step.exclude);
      if (match !== undefined) {
        excluded = match.matched;
        if (excluded) taken = false;
        exclude = match.parents;
      }
    }
    // What is left out for good need not even be readable.
    if (!taken && this.#include === undefined && this.#exclude?.hasExceptions !== true) return;

    const stats = attemptWith(
      () => `failed to stat ${source}`,
      () => lstat(source),
    );
    if (!taken && !stats.isDirectory()) return;
    const existing = attemptWith(
      () => `failed to stat ${target}`,
      () => lstatIfAny(target),
    );
    if (taken) {
      if (this.#options.replaceExisting && existing !== undefined && !(stats.isDirectory() && existing.isDirectory())) {
        attempt("unlinkat", target, () => rmSync(fsPath(target), { recursive: true, force: true }));
      }
      this.#makePendingDirectories(step.overwriteMetadata);
    }
    if (stats.isDirectory()) {
      const made = this.#directory(source, relative, target, stats, taken, excluded, {
        overwriteMetadata: step.overwriteMetadata,
        ...(include === undefined ? {} : { include }),
        ...(exclude === undefined ? {} : { exclude }),
      });
      if (taken && (step.overwriteMetadata || made)) this.#metadata(source, target, stats);
      else if (taken && existing !== undefined) this.#times(target, stats);
      return;
    }
    removeFileTarget(target);
    this.#nonDirectory(source, target, stats);
    this.#metadata(source, target, stats);
  }

  #directory(
    source: BytePath,
    relative: BytePath,
    target: BytePath,
    stats: BigIntStats,
    taken: boolean,
    excluded: boolean,
    step: Step,
  ): boolean {
    const made = taken && makeDirectory(target, stats, step.overwriteMetadata);
    this.#pending.push({ source, target, made: taken });
    try {
      if (excluded && this.#exclude?.hasExceptions !== true) return false;
      const below: Step = { ...step, overwriteMetadata: true };
      for (const entry of listDirectory(source)) {
        this.copy(
          `${source}/${entry.name}`,
          relative === "" ? entry.name : `${relative}/${entry.name}`,
          target === "/" ? `/${entry.name}` : `${target}/${entry.name}`,
          below,
        );
      }
      return made;
    } finally {
      this.#pending.pop();
    }
  }

  #makePendingDirectories(overwriteMetadata: boolean): void {
    for (const directory of this.#pending) {
      if (directory.made) continue;
      const stats = lstat(directory.source);
      if (makeDirectory(directory.target, stats, overwriteMetadata)) {
        this.#metadata(directory.source, directory.target, stats);
      }
      directory.made = true;
    }
  }

  #nonDirectory(source: BytePath, target: BytePath, stats: BigIntStats): void {
    if (stats.isSymbolicLink()) {
      const link = attempt("readlink", source, () => readlinkSync(fsPath(source), "latin1"));
      attemptWith(
        () => `failed to create symlink: ${target}`,
        () => attemptLink("symlink", link, target, () => symlinkSync(fsPath(link), fsPath(target))),
      );
      return;
    }
    if (!stats.isFile()) {
      const mode = Number(stats.mode);
      const type = mode & S_IFMT;
      const rdev = type === S_IFCHR || type === S_IFBLK ? Number(stats.rdev) : 0;
      // A socket is useless without its process: it becomes an empty file.
      const made = stats.isSocket() ? mode & ~S_IFMT : mode;
      attemptWith(
        () => "failed to create device",
        () => writeNode(target, made, deviceMajor(rdev), deviceMinor(rdev)),
      );
      return;
    }
    if (stats.nlink > 1n) {
      const inode = `${stats.dev}:${stats.ino}`;
      const first = this.#copied.get(inode);
      if (first !== undefined) {
        attemptWith(
          () => "failed to create hard link",
          () => attemptLink("link", first, target, () => linkSync(fsPath(first), fsPath(target))),
        );
        return;
      }
      this.#copied.set(inode, target);
    }
    attemptWith(
      () => "failed to copy files",
      () =>
        copyFileBytes(
          source,
          target,
          { size: Number(stats.size), blocks: Number(stats.blocks) },
          this.#options.checkCancelled,
        ),
    );
  }

  #metadata(source: BytePath, target: BytePath, stats: BigIntStats): void {
    const context = () => `failed to copy file info: failed to chown ${target}`;
    attemptWith(context, () =>
      setOwner(target, this.#options.owner ?? { uid: Number(stats.uid), gid: Number(stats.gid) }),
    );
    if (!stats.isSymbolicLink()) {
      let permissions = Number(stats.mode) & 0o7777;
      if (this.#changeMode !== undefined) permissions = this.#changeMode(permissions, stats.isDirectory());
      else if (this.#options.mode !== undefined) permissions = this.#options.mode & 0o7777;
      attempt("chmod", target, () => chmodSync(fsPath(target), permissions));
    }
    this.#times(target, stats);
    // An attribute that the target's file system refuses is not worth failing a build.
    for (const [name, value] of readXattrs(source) ?? []) writeXattr(target, name, value);
  }

  #times(target: BytePath, stats: BigIntStats): void {
    const { timeNs } = this.#options;
    if (timeNs !== undefined) writeTimes(target, timeNs);
    else writeTimes(target, stats.mtimeNs, stats.atimeNs);
  }
}

function makeDirectory(target: BytePath, stats: BigIntStats, overwriteMetadata: boolean): boolean {
  const permissions = Number(stats.mode) & 0o7777;
  const existing = lstatIfAny(target);
  if (existing === undefined) {
    attemptWith(
      () => `failed to mkdir ${target}`,
      () => attempt("mkdir", target, () => mkdirSync(fsPath(target), permissions)),
    );
    return true;
  }
  if (!existing.isDirectory()) throw new Error(`cannot copy to non-directory: ${textPath(target)}`);
  if (overwriteMetadata) attempt("chmod", target, () => chmodSync(fsPath(target), permissions));
  return false;
}

function removeFileTarget(target: BytePath): void {
  const existing = lstatIfAny(target, "failed to lstat file target");
  if (existing === undefined) return;
  if (existing.isDirectory()) throw new Error(`cannot replace to directory ${textPath(target)} with file`);
  try {
    attempt("remove", target, () => unlinkSync(fsPath(target)));
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}
