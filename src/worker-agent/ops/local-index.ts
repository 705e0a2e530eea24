import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { digestHex, sha256 } from "../../core/values/digest.ts";
import type { LayerId } from "../../core/values/layer.ts";

/** The last transfer under a key. */
export interface LocalRecord {
  readonly layer: LayerId;
  readonly sizeBytes: number;
  /** List of the layer's entries as the client sent them. */
  readonly treeFile: string;
}

/**
 * Remembers on disk which layer holds the last transfer of a local source, so that the next one sends only what changed.
 * One small JSON file per key, replaced whole; the tree file it names is never changed. Nothing here keeps a layer alive. What
 * a killed process was writing is deleted before the first file is written here.
 */
export class LocalIndex {
  readonly #directory: string;
  #swept: Promise<void> | undefined;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async get(key: string): Promise<LocalRecord | undefined> {
    return this.#read(this.#recordFile(key));
  }

  /** Where a transfer may put its list of entries. */
  async newTreeFile(key: string): Promise<string> {
    this.#swept ??= this.#sweep();
    await this.#swept;
    return join(this.#directory, `${nameOf(key)}.${randomUUID()}.tree`);
  }

  /** Replaces the record; tree files of earlier ones go. */
  async put(key: string, record: LocalRecord): Promise<void> {
    const name = record.treeFile.slice(this.#directory.length + 1);
    const temporary = join(this.#directory, `${nameOf(key)}.${randomUUID()}.tmp`);
    await writeFile(temporary, JSON.stringify({ ...record, treeFile: name }));
    await rename(temporary, join(this.#directory, this.#recordFile(key)));
    for (const file of await readdir(this.#directory)) {
      if (file.startsWith(`${nameOf(key)}.`) && file.endsWith(".tree") && file !== name) {
        await rm(join(this.#directory, file), { force: true });
      }
    }
  }

  /** Forgets transfers whose layer is not here any more. */
  async forgetGone(isHere: (layer: LayerId) => boolean): Promise<void> {
    const names = await readdir(this.#directory).catch((): string[] => []);
    for (const name of names.filter((file) => file.endsWith(".json"))) {
      const record = await this.#read(name);
      if (record === undefined || isHere(record.layer)) continue;
      for (const path of [join(this.#directory, name), record.treeFile]) await rm(path, { force: true });
    }
  }

  async #sweep(): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    const names = await readdir(this.#directory);
    const records = names.filter((name) => name.endsWith(".json")).map((name) => this.#read(name));
    const named = new Set((await Promise.all(records)).map((record) => record?.treeFile));
    const kept = (name: string) => name.endsWith(".json") || named.has(join(this.#directory, name));
    for (const name of names) if (!kept(name)) await rm(join(this.#directory, name), { force: true });
  }

  async #read(name: string): Promise<LocalRecord | undefined> {
    try {
      const record: unknown = JSON.parse(await readFile(join(this.#directory, name), "utf8"));
      return isRecord(record) ? { ...record, treeFile: join(this.#directory, record.treeFile) } : undefined;
    } catch {
      return undefined;
    }
  }

  #recordFile(key: string): string {
    return `${nameOf(key)}.json`;
  }
}

function nameOf(key: string): string {
  return digestHex(sha256(key)).slice(0, 32);
}

function isRecord(value: unknown): value is LocalRecord {
  if (typeof value !== "object" || value === null) return false;
  const { layer, sizeBytes, treeFile } = value as Partial<LocalRecord>;
  return typeof layer === "string" && typeof sizeBytes === "number" && typeof treeFile === "string";
}
