import { promisify } from "node:util";
import { zstdCompress, zstdDecompress } from "node:zlib";
import type { ExportedDocuments } from "../../core/seams/exporter.ts";
import type { KeyValue } from "../../core/seams/key-value.ts";
import type { Digest } from "../../core/values/digest.ts";
import { decode, encode } from "../../util/msgpack.ts";
import { recordKey } from "./history-records.ts";

/** Buckets take just under a megabyte: some megabytes of JSON. */
const maxBytes = 768 << 10;

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

/** Names of builds whose results were images or archives, newest first. */
export type BuildsWithDocuments = () => Iterable<string>;

/**
 * Configs, manifests, indexes and attestations of what builds exported, which clients read by following a record's results
 * (BuildKit keeps them in the content store). One entry of a shared bucket for each record, with which it lives and dies.
 */
export class HistoryDocuments {
  readonly #bucket: KeyValue;
  readonly #builds: BuildsWithDocuments;
  /** The build that a digest was last found in; it may have gone. */
  readonly #owners = new Map<Digest, string>();

  constructor(bucket: KeyValue, builds: BuildsWithDocuments) {
    this.#bucket = bucket;
    this.#builds = builds;
  }

  /** Replaces those of an earlier build with the same ref. @returns how many did not fit and are left out, the largest first */
  async put(ref: string, documents: ExportedDocuments): Promise<number> {
    const kept = [...documents].sort(([, a], [, b]) => a.data.length - b.data.length);
    for (let left = 0; kept.length > 0; left++, kept.pop()) {
      const bytes = await compress(encode(kept.map(([digest, { data }]) => [digest, data])));
      if (bytes.length > maxBytes) continue;
      await this.#bucket.put(documentsKey(ref), bytes);
      return left;
    }
    await this.delete(ref);
    return documents.size;
  }

  async delete(ref: string): Promise<void> {
    await this.#bucket.delete(documentsKey(ref));
  }

  /** @returns undefined when no record has it */
  async find(digest: Digest): Promise<Uint8Array | undefined> {
    const known = this.#owners.get(digest);
    const found = known === undefined ? undefined : (await this.#read(known)).get(digest);
    if (found !== undefined) return found;
    for (const ref of this.#builds()) {
      const document = (await this.#read(ref)).get(digest);
      if (document !== undefined) return document;
    }
    return undefined;
  }

  /** Who reads one document of a build goes on to its others. */
  async #read(ref: string): Promise<ReadonlyMap<Digest, Uint8Array>> {
    const entry = await this.#bucket.get(documentsKey(ref));
    if (entry === undefined) return new Map();
    const documents = new Map(decode<[Digest, Uint8Array][]>(await decompress(entry.value)));
    if (this.#owners.size > maxOwners) this.#owners.clear();
    for (const digest of documents.keys()) this.#owners.set(digest, ref);
    return documents;
  }
}

const maxOwners = 10_000;

/** Beside the blobs of the record, whose names are digests. */
function documentsKey(ref: string): string {
  return `${recordKey(ref)}/documents`;
}
