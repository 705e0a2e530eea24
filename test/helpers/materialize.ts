import { chmodSync, lchownSync, linkSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { makeDevice, makeNode, setTimes, setXattr } from "../../src/util/sys/index.ts";

/** One entry of a described tree; times in seconds or [seconds, nanoseconds]. */
export interface TreeEntry {
  readonly path: string;
  readonly type: "dir" | "file" | "symlink" | "hardlink" | "fifo" | "char" | "block";
  readonly mode?: string;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: number | readonly [number, number];
  readonly content?: string;
  readonly base64?: string;
  readonly repeat?: string;
  readonly size?: number;
  readonly link?: string;
  readonly dev?: readonly [number, number];
  readonly xattrs?: Readonly<Record<string, string>>;
}

/** Creates a tree with exact owners, modes, times and attributes. Needs root. */
export function materialize(entries: readonly TreeEntry[], root: string): void {
  mkdirSync(root, { recursive: true, mode: 0o755 });
  chmodSync(root, 0o755);
  for (const entry of entries) create(entry, entry.path === "." ? root : join(root, entry.path), root);
  for (const entry of entries.toReversed()) {
    if (entry.type === "hardlink") continue;
    const mtime = entry.mtime ?? 1_700_000_000;
    const [seconds, nanos] = typeof mtime === "number" ? [mtime, 0] : mtime;
    const ns = BigInt(seconds) * 1_000_000_000n + BigInt(nanos);
    setTimes(entry.path === "." ? root : join(root, entry.path), { atimeNs: ns, mtimeNs: ns });
  }
}

function create(entry: TreeEntry, path: string, root: string): void {
  mkdirSync(dirname(path), { recursive: true });
  switch (entry.type) {
    case "dir":
      mkdirSync(path, { recursive: true });
      break;
    case "file":
      writeFileSync(path, bodyOf(entry));
      break;
    case "symlink":
      symlinkSync(entry.link ?? "", path);
      break;
    case "hardlink":
      linkSync(join(root, entry.link ?? ""), path);
      return;
    case "fifo":
      makeNode(path, 0o010600, 0n);
      break;
    case "char":
    case "block":
      makeNode(
        path,
        (entry.type === "char" ? 0o020000 : 0o060000) | 0o600,
        makeDevice(entry.dev?.[0] ?? 0, entry.dev?.[1] ?? 0),
      );
      break;
  }
  lchownSync(path, entry.uid ?? 0, entry.gid ?? 0);
  if (entry.type !== "symlink") {
    chmodSync(path, Number.parseInt(entry.mode ?? (entry.type === "dir" ? "0755" : "0644"), 8));
  }
  for (const [name, value] of Object.entries(entry.xattrs ?? {})) setXattr(path, name, Buffer.from(value, "base64"));
}

function bodyOf(entry: TreeEntry): Buffer {
  if (entry.base64 !== undefined) return Buffer.from(entry.base64, "base64");
  if (entry.repeat !== undefined) {
    const unit = Buffer.from(entry.repeat);
    return Buffer.alloc(entry.size ?? 0, unit);
  }
  return Buffer.from(entry.content ?? "");
}
