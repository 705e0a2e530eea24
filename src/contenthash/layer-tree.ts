import { type Dirent, lstatSync, readdirSync, readlinkSync } from "node:fs";
import type { Digest } from "../core/values/digest.ts";
import { attempt, type BytePath, fsPath, isGoRegular, readXattrs, statFile } from "../filesystem/index.ts";
import { hashFile, headerDigest } from "./file-digest.ts";

export type NodeKind = "directory" | "file" | "symlink" | "whiteout";

/** An entry of one layer's diff. Directories are read, and files hashed, when first asked for; layers never change. */
export class LayerNode {
  readonly kind: NodeKind;
  readonly linkname: BytePath;
  /** Digest of all below and the header, when no other layer adds to this directory. */
  contentDigest: Digest | undefined;
  readonly #tree: LayerTree;
  readonly #path: BytePath;
  #children: ReadonlyMap<BytePath, LayerNode> | undefined;
  #opaque: boolean | undefined;
  #digest: Digest | undefined;

  constructor(tree: LayerTree, path: BytePath, kind: NodeKind, linkname: BytePath) {
    this.#tree = tree;
    this.#path = path;
    this.kind = kind;
    this.linkname = linkname;
  }

  /** Entries of a directory; order is that of the disk. */
  get children(): ReadonlyMap<BytePath, LayerNode> {
    this.#children ??= this.#tree.read(this.#path);
    return this.#children;
  }

  /** Nothing of lower layers shows through. */
  get opaque(): boolean {
    this.#opaque ??= this.#tree.isOpaque(this.#path);
    return this.#opaque;
  }

  /** Digest of a file, a link, or of a directory's header. */
  digest(checkCancelled: () => void): Digest {
    this.#digest ??= this.#tree.digest(this.#path, checkCancelled);
    return this.#digest;
  }
}

/** Digests known beforehand, by path below the layer's root. */
export type LayerSeed = ReadonlyMap<BytePath, Digest>;

/** One layer's diff directory as a tree of nodes. */
export class LayerTree {
  readonly root: LayerNode;
  readonly #directory: BytePath;
  readonly #seed: LayerSeed | undefined;
  /** Digests of files with several names. */
  readonly #linked = new Map<string, Digest>();

  constructor(directory: BytePath, seed: LayerSeed | undefined) {
    this.#directory = directory;
    this.#seed = seed;
    this.root = new LayerNode(this, "", "directory", "");
  }

  read(path: BytePath): ReadonlyMap<BytePath, LayerNode> {
    const full = this.#full(path);
    const entries = attempt("open", full, () => readdirSync(fsPath(full), { withFileTypes: true, encoding: "latin1" }));
    const children = new Map<BytePath, LayerNode>();
    for (const entry of entries) {
      const child = path === "" ? entry.name : `${path}/${entry.name}`;
      const kind = this.#kind(child, entry);
      const linkname = kind === "symlink" ? readlinkSync(fsPath(this.#full(child)), "latin1") : "";
      children.set(entry.name, new LayerNode(this, child, kind, linkname));
    }
    return children;
  }

  isOpaque(path: BytePath): boolean {
    const value = readXattrs(this.#full(path))?.get("trusted.overlay.opaque");
    return value !== undefined && value[0] === 0x79;
  }

  digest(path: BytePath, checkCancelled: () => void): Digest {
    const seeded = this.#seed?.get(path);
    if (seeded !== undefined) return seeded;
    checkCancelled();
    const full = this.#full(path);
    // A scan never sees device numbers (BuildKit tests the type bits wrongly); digests have to agree.
    const stat = { ...statFile(full, path), devmajor: 0, devminor: 0 };
    if (!isGoRegular(stat.mode)) return headerDigest(stat);
    const stats = lstatSync(fsPath(full));
    if (!stats.isFile()) return headerDigest(stat);
    if (stats.nlink === 1) return hashFile(full, stat, checkCancelled);
    const inode = `${stats.dev}:${stats.ino}`;
    const digest = this.#linked.get(inode) ?? hashFile(full, stat, checkCancelled);
    this.#linked.set(inode, digest);
    return digest;
  }

  #full(path: BytePath): BytePath {
    return path === "" ? this.#directory : `${this.#directory}/${path}`;
  }

  #kind(path: BytePath, entry: Dirent<string>): NodeKind {
    if (entry.isDirectory()) return "directory";
    if (entry.isSymbolicLink()) return "symlink";
    if (entry.isCharacterDevice() && lstatSync(fsPath(this.#full(path))).rdev === 0) return "whiteout";
    return "file";
  }
}
