import { createHash } from "node:crypto";
import type { Digest } from "../core/values/digest.ts";
import type { BytePath } from "../filesystem/index.ts";
import { cleanPath, quotePath } from "../filesystem/index.ts";
import type { LayerNode } from "./layer-tree.ts";

const maxLinks = 255;

/** An entry of a stack of layers as an overlay mount would show it. */
export class MergedNode {
  readonly kind: "directory" | "file" | "symlink";
  /** Layers that make up the entry, top first; more than one only for directories. */
  readonly #sources: readonly LayerNode[];
  readonly #emptyHeader: boolean;
  #children: readonly MergedChild[] | undefined;
  #byName: Map<BytePath, MergedNode> | undefined;
  #content: Digest | undefined;

  /** @param emptyHeader the header counts as no bytes at all: the root of a transferred tree */
  constructor(sources: readonly LayerNode[], emptyHeader = false) {
    const top = sources[0];
    if (top === undefined || top.kind === "whiteout") throw new Error("merged entry without a layer");
    this.kind = top.kind;
    this.#sources = sources;
    this.#emptyHeader = emptyHeader;
  }

  get linkname(): BytePath {
    return this.#sources[0]?.linkname ?? "";
  }

  /** Entries of a directory, sorted by bytes. */
  get children(): readonly MergedChild[] {
    this.#children ??= this.#merge();
    return this.#children;
  }

  child(name: BytePath): MergedNode | undefined {
    if (this.kind !== "directory") return undefined;
    this.#byName ??= new Map(this.children.map((child) => [child.name, child.node]));
    return this.#byName.get(name);
  }

  /** Digest of a file or link, or of a directory's header. */
  headerDigest(checkCancelled: () => void): Digest {
    if (this.#emptyHeader) return emptyDigest;
    return (this.#sources[0] as LayerNode).digest(checkCancelled);
  }

  /** Digest of the entry with all below it (BuildKit contenthash: header and children by name). */
  digest(checkCancelled: () => void): Digest {
    if (this.kind !== "directory") return this.headerDigest(checkCancelled);
    const only = this.#sources.length === 1 && !this.#emptyHeader ? this.#sources[0] : undefined;
    this.#content ??= only?.contentDigest;
    if (this.#content === undefined) {
      const hash = createHash("sha256").update("\0").update(this.headerDigest(checkCancelled));
      for (const { name, node } of this.children) {
        hash.update(`\0${name}`, "latin1").update(node.digest(checkCancelled));
      }
      this.#content = `sha256:${hash.digest("hex")}` as Digest;
      if (only !== undefined) only.contentDigest = this.#content;
    }
    return this.#content;
  }

  #merge(): readonly MergedChild[] {
    const names = new Set<BytePath>();
    for (const source of this.#sources) for (const name of source.children.keys()) names.add(name);
    const merged: MergedChild[] = [];
    for (const name of [...names].sort()) {
      const sources = stackOf(this.#sources.map((source) => source.children.get(name)));
      if (sources.length > 0) merged.push({ name, node: new MergedNode(sources) });
    }
    return merged;
  }
}

export interface MergedChild {
  readonly name: BytePath;
  readonly node: MergedNode;
}

/** The root of a stack of layers. @param roots top first */
export function mergeRoots(roots: readonly LayerNode[], emptyHeader: boolean): MergedNode {
  return new MergedNode(stackOf(roots), emptyHeader);
}

/** What of the same path in several layers, top first, takes part: down to the first that hides the rest. */
function stackOf(candidates: readonly (LayerNode | undefined)[]): readonly LayerNode[] {
  const sources: LayerNode[] = [];
  for (const node of candidates) {
    if (node === undefined) continue;
    if (node.kind !== "directory") return sources.length > 0 || node.kind === "whiteout" ? sources : [node];
    sources.push(node);
    if (candidates.length > 1 && node.opaque) break;
  }
  return sources;
}

const emptyDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" as Digest;

/**
 * Finds a path, links resolved within the tree (BuildKit contenthash getFollowLinks).
 * @param followLast also resolve a link at the end
 * @throws Error `too many links`
 */
export function findNode(root: MergedNode, path: BytePath, followLast: boolean): MergedNode | undefined {
  let current = "";
  let node: MergedNode | undefined = root;
  const pending = path.split("/").reverse();
  let links = 0;
  while (pending.length > 0) {
    const part = pending.pop() as string;
    if (part === "" || part === ".") continue;
    current = cleanPath(`/${current}/${part}`).slice(1);
    node = part === ".." ? lookup(root, current) : node?.child(part);
    if (node?.kind !== "symlink") continue;
    if (!followLast && pending.every((rest) => rest === "")) break;
    if (++links > maxLinks) throw new Error("too many links");
    const target = node.linkname;
    current = target.startsWith("/") ? "" : cleanPath(`/${current}/..`).slice(1);
    node = lookup(root, current);
    pending.push(...target.split("/").reverse());
  }
  return node;
}

/** A path free of links. */
function lookup(root: MergedNode, path: BytePath): MergedNode | undefined {
  let node: MergedNode | undefined = root;
  for (const part of path.split("/")) if (part !== "") node = node?.child(part);
  return node;
}

export function notFound(path: BytePath): Error {
  return new Error(`${quotePath(path)}: not found`);
}
