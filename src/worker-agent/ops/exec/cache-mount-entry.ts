import { randomUUID } from "node:crypto";
import { readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";

const dirtyName = "dirty";

/** What of an entry is kept on disk. */
export interface CacheMountFacts {
  readonly key: string;
  readonly description: string;
  /** Of the mount when this was made; see CacheMountInfo. */
  readonly epoch: string;
  readonly createdAt: number;
  lastUsedAt: number;
  usageCount: number;
  sizeBytes: number;
  /** Used since its size was taken. */
  changed: boolean;
  /** What it was when the last step had succeeded with it. */
  version?: string;
  /** See PublishedCacheMount. */
  readonly cold: boolean;
}

/**
 * One directory of a CacheMountStore: `<id>/data`, which may be a file, `<id>/meta.json`, and `<id>/dirty` when it is. That is
 * a file of its own because a file system syncs what is replaced by a rename, which a step need not wait for when it begins.
 */
export class CacheMountEntry {
  readonly id: string;
  readonly directory: string;
  readonly facts: CacheMountFacts;
  #dirty: boolean;
  /** Marks are written one after the other. */
  #marking: Promise<void> = Promise.resolve();
  users = 0;
  exclusive = false;
  /** Pruned: found by nobody any more, deleted when its last user leaves. */
  dropped = false;
  sessionIds: ReadonlySet<string> = new Set();
  /** Who copies it to another agent now. */
  readonly readers = new Set<AbortController>();
  /** Steps that wait for the end of copies. */
  awaited = 0;

  private constructor(root: string, id: string, facts: CacheMountFacts, dirty: boolean) {
    this.#dirty = dirty;
    this.id = id;
    this.directory = join(root, id);
    this.facts = facts;
  }

  /** For a step to use; in memory only, until `save`. */
  static create(
    root: string,
    what: Pick<CacheMountFacts, "key" | "description" | "epoch" | "cold">,
    now: number,
  ): CacheMountEntry {
    const unused = { createdAt: now, lastUsedAt: now, usageCount: 0, sizeBytes: 0, changed: true };
    return new CacheMountEntry(root, randomUUID(), { ...what, ...unused }, false);
  }

  /** Also deletes files of it that were half written. @throws Error when there is none, or only half of one */
  static async load(root: string, id: string): Promise<CacheMountEntry> {
    const facts = JSON.parse(await readFile(join(root, id, "meta.json"), "utf8")) as CacheMountFacts;
    const names = await readdir(join(root, id));
    for (const name of names) if (name.startsWith("meta.json.")) await rm(join(root, id, name), { force: true });
    // Agents wrote neither of the two while mounts stayed where they were.
    const { epoch = "", cold = false } = facts;
    return new CacheMountEntry(root, id, { ...facts, epoch, cold }, names.includes(dirtyName));
  }

  /** A step uses it, or failed with it: it is not what others know as `version`, also after the agent was killed. */
  get dirty(): boolean {
    return this.#dirty;
  }

  async setDirty(dirty: boolean): Promise<void> {
    if (dirty === this.#dirty) return;
    this.#dirty = dirty;
    const path = join(this.directory, dirtyName);
    const before = this.#marking;
    this.#marking = (async () => {
      await before.catch(() => {});
      await (dirty ? writeFile(path, "") : rm(path, { force: true }));
    })();
    await this.#marking;
  }

  get data(): string {
    return join(this.directory, "data");
  }

  get inUse(): boolean {
    return this.users > 0 || this.readers.size > 0;
  }

  endReaders(): void {
    for (const reader of this.readers) reader.abort(new BuildError(Code.Unavailable, "a step needs the cache mount"));
  }

  async save(): Promise<void> {
    const path = join(this.directory, "meta.json");
    const next = `${path}.${randomUUID()}`;
    await writeFile(next, JSON.stringify(this.facts));
    await rename(next, path);
  }
}
