import { type Dirent, readdirSync } from "node:fs";
import { type BytePath, fsPath, textPath } from "./byte-path.ts";
import { type FileStat, type LinkTable, statFile } from "./file-stat.ts";
import { followPaths } from "./follow-paths.ts";
import { attempt, errnoOf } from "./fs-error.ts";
import { compilePatterns, type ParentMatches, type PathPattern, type PatternMatcher } from "./pattern-matcher.ts";

export interface WalkFilter {
  readonly includePatterns?: readonly string[];
  readonly excludePatterns?: readonly string[];
  /** Paths whose symlinks are resolved into include patterns. */
  readonly followPaths?: readonly string[];
  /** May change an entry; undefined leaves it out (what is below a directory is still visited). */
  readonly map?: (stat: FileStat) => FileStat | undefined;
}

/** `skip` leaves out what is below a directory. */
export type WalkVisitor = (stat: FileStat) => "skip" | undefined;

/**
 * Visits a tree in the order of the fsutil protocol: names sorted by bytes, a directory before its content, the root not at
 * all (fsutil FilterFS over NewFS). A directory which no pattern takes appears only if something below it is taken.
 * Synchronous: run it in a worker for trees of unknown size. What vanishes during the walk is left out.
 * @throws FsError; BadPatternError
 */
export function walkTree(root: BytePath, filter: WalkFilter, visit: WalkVisitor): void {
  new Walker(root, filter, visit).run();
}

interface VisitedDirectory {
  readonly path: BytePath;
  readonly include: ParentMatches | undefined;
  readonly exclude: ParentMatches | undefined;
  reported: boolean;
  skipped: boolean;
}

class Walker {
  readonly #root: BytePath;
  readonly #map: WalkFilter["map"];
  readonly #visit: WalkVisitor;
  readonly #include: PatternMatcher | undefined;
  readonly #exclude: PatternMatcher | undefined;
  readonly #prefixIncludes: readonly string[] | undefined;
  readonly #prefixExceptions: readonly string[] | undefined;
  readonly #links: LinkTable = new Map();
  readonly #parents: VisitedDirectory[] = [];

  constructor(root: BytePath, filter: WalkFilter, visit: WalkVisitor) {
    this.#root = root;
    this.#map = filter.map;
    this.#visit = visit;
    const include = new Set(filter.includePatterns ?? []);
    if (filter.followPaths !== undefined) {
      for (const path of followPaths(root, filter.followPaths) ?? []) include.add(path);
    }
    this.#include = compilePatterns("includepatterns", [...include]);
    this.#exclude = compilePatterns("excludepatterns", filter.excludePatterns ?? []);
    this.#prefixIncludes = literalPrefixes(this.#include?.patterns.filter((pattern) => !pattern.exception));
    this.#prefixExceptions = literalPrefixes(this.#exclude?.patterns.filter((pattern) => pattern.exception));
  }

  run(): void {
    this.#directory("");
  }

  #directory(path: BytePath): void {
    const full = path === "" ? this.#root : `${this.#root}/${path}`;
    for (const entry of listDirectory(full)) {
      const child = path === "" ? entry.name : `${path}/${entry.name}`;
      if (this.#entry(child, entry.isDirectory()) === "skip-rest") return;
    }
  }

  #entry(path: BytePath, isDirectory: boolean): "skip-rest" | undefined {
    const parent = this.#parents.at(-1);
    let taken = true;
    let include: ParentMatches | undefined;
    let exclude: ParentMatches | undefined;
    const text = this.#include === undefined && this.#exclude === undefined ? "" : textPath(path);
    if (this.#include !== undefined) {
      const match = this.#include.matchBelow(text, parent?.include);
      include = match.parents;
      if (!match.matched) {
        taken = false;
        if (isDirectory && cannotContain(text, this.#prefixIncludes)) return undefined;
      }
    }
    if (this.#exclude !== undefined) {
      const match = this.#exclude.matchBelow(text, parent?.exclude);
      exclude = match.parents;
      if (match.matched) {
        taken = false;
        if (isDirectory && cannotContain(text, this.#prefixExceptions)) return undefined;
      }
    }
    let verdict: Verdict = { reported: false, below: true };
    if (taken) {
      verdict = this.#report(path);
      if (verdict.rest === false) return "skip-rest";
    }
    if (!isDirectory || !verdict.below) return undefined;
    this.#parents.push({ path, include, exclude, reported: verdict.reported, skipped: false });
    try {
      this.#directory(path);
    } finally {
      this.#parents.pop();
    }
    return undefined;
  }

  #report(path: BytePath): Verdict {
    const stat = this.#stat(path);
    if (stat === undefined) return { reported: false, below: false };
    const mapped = this.#map === undefined ? stat : this.#map(stat);
    if (mapped === undefined) return { reported: false, below: true };
    for (const parent of this.#parents) {
      if (parent.skipped) return { reported: false, below: false, rest: false };
      if (parent.reported) continue;
      const parentStat = this.#stat(parent.path);
      if (parentStat === undefined) return { reported: false, below: false, rest: false };
      const mappedParent = this.#map === undefined ? parentStat : this.#map(parentStat);
      if (mappedParent === undefined) continue;
      parent.reported = true;
      if (this.#visit(mappedParent) === "skip") {
        parent.skipped = true;
        return { reported: false, below: false, rest: false };
      }
    }
    return { reported: true, below: this.#visit(mapped) !== "skip" };
  }

  #stat(path: BytePath): FileStat | undefined {
    try {
      return statFile(`${this.#root}/${path}`, path, this.#links);
    } catch (error) {
      if (isGone(error)) return undefined;
      throw error;
    }
  }
}

interface Verdict {
  readonly reported: boolean;
  /** Go on below the entry. */
  readonly below: boolean;
  /** false: leave the entry's siblings out too. */
  readonly rest?: boolean;
}

function isGone(error: unknown): boolean {
  const code = errnoOf(error);
  return code === "ENOENT" || code === "ENOTDIR";
}

/** Entries of a directory sorted by bytes; empty when it is gone. */
export function listDirectory(full: BytePath): Dirent<string>[] {
  try {
    return attempt("open", full, () =>
      readdirSync(fsPath(full), { withFileTypes: true, encoding: "latin1" }).sort(byName),
    );
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

function byName(a: Dirent<string>, b: Dirent<string>): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

const patternCharacters = /[*[\]?^\\]/;

/** Directories the patterns lie in, when all of them are literal but for a last glob; else undefined. */
function literalPrefixes(patterns: readonly PathPattern[] | undefined): readonly string[] | undefined {
  const prefixes = patterns?.map((pattern) => pattern.withoutTrailingGlob);
  return prefixes?.some((prefix) => patternCharacters.test(prefix)) ? undefined : prefixes;
}

/** True when nothing below the directory can match one of the prefixes, so that it need not be read. */
function cannotContain(directory: string, prefixes: readonly string[] | undefined): boolean {
  return prefixes !== undefined && !prefixes.some((prefix) => `${prefix}/`.startsWith(`${directory}/`));
}
