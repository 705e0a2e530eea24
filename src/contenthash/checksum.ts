import { createHash } from "node:crypto";
import { type Digest, sha256 } from "../core/values/digest.ts";
import type { ContentSelector } from "../core/values/task.ts";
import {
  type BytePath,
  basePath,
  bytePath,
  compilePatterns,
  goMatch,
  joinPath,
  type ParentMatches,
  type PatternMatcher,
  splitWildcards,
  textPath,
} from "../filesystem/index.ts";
import { findNode, type MergedNode, notFound } from "./merged-tree.ts";

/**
 * Content digest of the part of a tree that a selector names (BuildKit cache/contenthash Checksum, map d19–d20). Of the
 * tree only what is needed is read and hashed.
 * @throws Error `"/path": not found`, `too many links`, `invalid includepatterns: …`, `syntax error in pattern`
 */
export function checksum(root: MergedNode, selector: ContentSelector, checkCancelled: () => void): Digest {
  const path = bytePath(selector.path);
  if (!isFiltered(selector)) return digestOf(root, keyPath(path), selector.followLinks, checkCancelled);

  const selection = new Selection(root, path, selector);
  const entries = selection.run();
  const digests = entries.map((entry) => {
    checkCancelled();
    if (entry.followLinks && entry.node.kind === "symlink") {
      return digestOf(root, entry.path, selector.followLinks, checkCancelled);
    }
    return entry.node.headerDigest(checkCancelled);
  });
  for (const required of selector.requiredPaths ?? []) {
    const wanted = bytePath(required);
    if (!entries.some((entry) => entry.path.startsWith(wanted))) throw notFound(wanted);
  }
  const [only] = digests;
  if (only === undefined) return sha256("");
  if (digests.length === 1 && basePath(path) === basePath((entries[0] as SelectedEntry).path)) return only;

  const hash = createHash("sha256");
  for (const [i, entry] of entries.entries()) {
    const relative = entry.path.startsWith(selection.prefix) ? entry.path.slice(selection.prefix.length) : entry.path;
    hash.update(relative === "" ? "\0" : relative.replaceAll("/", "\0"), "latin1").update(digests[i] as Digest);
  }
  return `sha256:${hash.digest("hex")}` as Digest;
}

/** Every entry that counts for the digest of a selector. The node of a link that is followed is what it points to. */
export function* selectedNodes(root: MergedNode, selector: ContentSelector): Generator<PlacedNode> {
  const path = bytePath(selector.path);
  if (!isFiltered(selector)) {
    yield* withDescendants(keyPath(path), findNode(root, keyPath(path), selector.followLinks));
    return;
  }
  for (const entry of new Selection(root, path, selector).run()) {
    if (entry.followLinks && entry.node.kind === "symlink") {
      yield* withDescendants(entry.path, findNode(root, entry.path, selector.followLinks));
    } else yield entry;
  }
}

export interface PlacedNode {
  /** Absolute; the root is empty. */
  readonly path: BytePath;
  readonly node: MergedNode;
}

function* withDescendants(path: BytePath, node: MergedNode | undefined): Generator<PlacedNode> {
  if (node === undefined) return;
  yield { path, node };
  if (node.kind !== "directory") return;
  for (const child of node.children) yield* withDescendants(`${path}/${child.name}`, child.node);
}

function isFiltered({ wildcard, includePatterns, excludePatterns }: ContentSelector): boolean {
  return wildcard || includePatterns.length > 0 || excludePatterns.length > 0;
}

function digestOf(root: MergedNode, path: BytePath, followLast: boolean, checkCancelled: () => void): Digest {
  const node = findNode(root, path, followLast);
  if (node === undefined) throw notFound(path);
  return node.digest(checkCancelled);
}

/** Absolute and clean; the root is empty. */
function keyPath(path: BytePath): BytePath {
  const clean = joinPath("/", path);
  return clean === "/" ? "" : clean;
}

interface SelectedEntry extends PlacedNode {
  /** A link here stands for what it points to. */
  readonly followLinks: boolean;
}

interface OpenDirectory extends SelectedEntry {
  readonly include: ParentMatches | undefined;
  readonly exclude: ParentMatches | undefined;
  included: boolean;
}

/** Walks what a wildcard or pattern selector may take, in key order: a directory, its header, its content. */
class Selection {
  /** Taken off the front of every path before hashing. */
  readonly prefix: BytePath;
  readonly #start: MergedNode | undefined;
  readonly #pattern: BytePath;
  readonly #wildcard: boolean;
  /** Paths with more components cannot match the wildcard; they matter only below a match. */
  readonly #depth: number;
  readonly #skipHeader: boolean;
  readonly #followLinks: boolean;
  readonly #include: PatternMatcher | undefined;
  readonly #exclude: PatternMatcher | undefined;
  readonly #selected: SelectedEntry[] = [];
  readonly #parents: OpenDirectory[] = [];
  #lastMatch = "";

  constructor(root: MergedNode, path: BytePath, selector: ContentSelector) {
    this.#skipHeader = path.endsWith("/");
    this.#pattern = keyPath(path);
    this.#wildcard = selector.wildcard;
    this.#followLinks = selector.followLinks;
    this.#include = compilePatterns("includepatterns", selector.includePatterns);
    this.#exclude = compilePatterns("excludepatterns", selector.excludePatterns);
    this.#depth = this.#pattern.includes("[") ? Number.POSITIVE_INFINITY : this.#pattern.split("/").length - 1;
    if (!selector.wildcard) {
      this.prefix = this.#pattern;
      this.#start = findNode(root, this.prefix, false);
      return;
    }
    const [literal, rest] = splitWildcards(this.#pattern === "" ? "/" : this.#pattern);
    this.prefix = literal === "/" ? "" : literal;
    this.#start = literal === "/" ? root : findNode(root, literal, rest !== "");
  }

  run(): readonly SelectedEntry[] {
    if (this.#start !== undefined) this.#visit(this.prefix, this.#start);
    return this.#selected;
  }

  #visit(path: BytePath, node: MergedNode): void {
    while (this.#parents.length > 0 && !path.startsWith(`${this.#parents.at(-1)?.path}/`)) this.#parents.pop();
    const matched = this.#matchesWildcard(path);
    if (matched) this.#take(path, node);
    if (node.kind !== "directory") return;
    if (!matched && path.split("/").length - 1 >= this.#depth) return;
    for (const child of node.children) this.#visit(`${path}/${child.name}`, child.node);
  }

  /** @throws BadPatternError */
  #matchesWildcard(path: BytePath): boolean {
    if (!this.#wildcard || this.#pattern === "") return true;
    if (this.#lastMatch !== "" && path.startsWith(`${this.#lastMatch}/`)) return true;
    if (!goMatch(textPath(this.#pattern), textPath(path))) return false;
    this.#lastMatch = path;
    return true;
  }

  #take(path: BytePath, node: MergedNode): void {
    if (node.kind === "directory" && this.#skipHeader && path === this.#pattern) return;
    const parent = this.#parents.at(-1);
    const base = this.#wildcard ? this.#lastMatch : this.#pattern;
    const relative = `${path}/`.startsWith(`${base}/`) ? path.slice(base.length + 1) : path;
    const text = this.#include === undefined && this.#exclude === undefined ? "" : textPath(relative);
    const include = this.#include?.matchBelow(text, parent?.include);
    const taken = include?.matched ?? true;
    // As in BuildKit, exclude patterns are not tried on, nor remembered for, what no include pattern takes.
    const exclude = taken ? this.#exclude?.matchBelow(text, parent?.exclude) : undefined;
    const entry: OpenDirectory = {
      path,
      node,
      followLinks: parent === undefined && this.#followLinks,
      include: include?.parents,
      exclude: exclude?.parents,
      included: taken && exclude?.matched !== true,
    };
    if (entry.included) {
      for (const above of this.#parents) {
        if (above.included) continue;
        above.included = true;
        this.#selected.push(above);
      }
      this.#selected.push(entry);
    }
    if (node.kind === "directory") this.#parents.push(entry);
  }
}
