import { chmodSync, mkdirSync } from "node:fs";
import { compress, decompress } from "../../archive/compression/index.ts";
import { Estargz, withoutToc } from "../../archive/estargz/index.ts";
import { rewriteTarTimes } from "../../archive/tar/index.ts";
import { type Digest, Sha256 } from "../../core/values/digest.ts";
import type { CompressionType } from "../../core/values/task.ts";
import type { ByteString } from "../../util/sys/index.ts";
import { type AppliedLayer, applyLayerTar, type UnsettledLayer } from "../diff/apply-layer-tar.ts";
import { compareTrees } from "../diff/compare-trees.ts";
import { EntryCopier } from "../diff/copy-entry.ts";
import { type LayerTarOptions, layerTarChunks } from "../diff/layer-tar-chunks.ts";
import type { MergedDir } from "../diff/merged-dir.ts";
import { normalizeLayer } from "../diff/normalize-layer.ts";
import { hostPath } from "../diff/overlay-form.ts";
import { removeTree } from "../diff/remove-tree.ts";
import { makeSkeleton, scanLayer } from "../diff/scan-layer.ts";
import { settleLayer } from "../diff/settle-layer.ts";

/** What a job sees of the outside. `write` resolves when the consumer keeps up. */
export interface ThreadIo {
  readonly input: AsyncIterable<Uint8Array>;
  write(chunk: Uint8Array): Promise<void>;
}

export interface SealedLayer {
  readonly sizeBytes: number;
  readonly entries: number;
  /** True when a skeleton was made, i.e. when the layer deletes something in a sub-directory. */
  readonly skeleton: boolean;
}

export interface PackedLayer {
  /** Of the uncompressed archive. */
  readonly diffId: Digest;
  readonly uncompressedBytes: number;
  /** Of an eStargz blob. */
  readonly tocDigest?: Digest;
}

export interface PackFormat {
  readonly type: CompressionType;
  readonly level?: number;
}

/** The work a thread can do. Paths are host paths as text; stacks are topmost first. */
export const jobs = {
  /** Makes a layer directory ready to be committed: normalized against what it was written on, measured. */
  seal(args: {
    readonly layer: string;
    readonly skeleton: string;
    /** Absent: the layer stands as it is. */
    readonly writtenOn?: { readonly lowers: readonly string[] };
  }): SealedLayer {
    const layer = hostPath(args.layer);
    if (args.writtenOn !== undefined) normalizeLayer(layer, stack(args.writtenOn.lowers), { dropUnchanged: true });
    const scan = scanLayer(layer);
    if (scan.whiteoutDirs.length > 0) makeSkeleton(hostPath(args.skeleton), scan.whiteoutDirs);
    return { sizeBytes: scan.sizeBytes, entries: scan.entries, skeleton: scan.whiteoutDirs.length > 0 };
  },

  /** Copies the merged tree of a stack into an existing, empty directory. */
  materialize(args: { readonly lowers: readonly string[]; readonly target: string }): void {
    new EntryCopier().copyChildren(stack(args.lowers), hostPath(args.target));
  },

  /** Layer that turns one stack into another. */
  compare(args: {
    readonly lower: readonly string[];
    readonly upper: readonly string[];
    readonly target: string;
  }): void {
    mkdirSync(args.target, { recursive: true });
    chmodSync(args.target, 0o755);
    compareTrees(stack(args.lower), stack(args.upper), hostPath(args.target));
  },

  /** Writes a layer as an archive, compressed. */
  async pack(
    args: { readonly layer: string; readonly tar: LayerTarOptions; readonly format: PackFormat },
    io: ThreadIo,
  ): Promise<PackedLayer> {
    return writePacked(asyncOf(layerTarChunks(hostPath(args.layer), args.tar)), args.format, io);
  },

  /** Reads a layer blob of any compression and writes it in another one, and optionally with other times. */
  async repack(
    args: { readonly format: PackFormat; readonly rewriteTimestamp?: number; readonly fromEstargz: boolean },
    io: ThreadIo,
  ): Promise<PackedLayer> {
    const content = decompress(io.input);
    const archive = args.fromEstargz ? withoutToc(content) : content;
    const { rewriteTimestamp } = args;
    return writePacked(
      rewriteTimestamp === undefined ? archive : rewriteTarTimes(archive, rewriteTimestamp),
      args.format,
      io,
    );
  },

  /** Unpacks a layer blob of any compression into an empty directory. */
  async unpack(
    args: { readonly target: string; readonly maxBytes?: number },
    io: ThreadIo,
  ): Promise<AppliedLayer & PackedLayer> {
    const counted = new HashedBytes(decompress(io.input));
    const limit = args.maxBytes === undefined ? {} : { maxBytes: args.maxBytes };
    const applied = await applyLayerTar(counted, hostPath(args.target), limit);
    return { ...applied, ...counted.result() };
  },

  /** Second half of `unpack`, for layers that need those below. */
  settle(args: {
    readonly target: string;
    readonly lowers: readonly string[];
    readonly unsettled: UnsettledLayer;
  }): void {
    settleLayer(hostPath(args.target), stack(args.lowers), args.unsettled);
  },

  remove(args: { readonly path: string }): void {
    removeTree(hostPath(args.path));
  },
};

export type JobKind = keyof typeof jobs;
export type JobArgs<K extends JobKind> = Parameters<(typeof jobs)[K]>[0];
export type JobResult<K extends JobKind> = Awaited<ReturnType<(typeof jobs)[K]>>;

function stack(paths: readonly string[]): MergedDir {
  return paths.map(hostPath) as readonly ByteString[];
}

async function writePacked(archive: AsyncIterable<Uint8Array>, format: PackFormat, io: ThreadIo): Promise<PackedLayer> {
  const { type, level } = format;
  if (type === "estargz") {
    const blob = new Estargz(archive, level);
    for await (const chunk of blob) await io.write(chunk);
    return blob.facts;
  }
  const hashed = new HashedBytes(archive);
  for await (const chunk of compress(hashed, { type, ...(level === undefined ? {} : { level }) }))
    await io.write(chunk);
  return hashed.result();
}

/** Passes bytes on, keeping their digest. */
class HashedBytes implements AsyncIterable<Uint8Array> {
  readonly #bytes: AsyncIterable<Uint8Array>;
  readonly #hash = new Sha256();
  #size = 0;

  constructor(bytes: AsyncIterable<Uint8Array>) {
    this.#bytes = bytes;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for await (const chunk of this.#bytes) {
      this.#hash.update(chunk);
      this.#size += chunk.length;
      yield chunk;
    }
  }

  /** Once all bytes have passed. */
  result(): PackedLayer {
    return { diffId: this.#hash.digest(), uncompressedBytes: this.#size };
  }
}

async function* asyncOf<T>(items: Iterable<T>): AsyncGenerator<T> {
  yield* items;
}
