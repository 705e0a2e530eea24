import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../../core/seams/clock.ts";
import { withSignal } from "../../../util/abort.ts";
import { treeBytes } from "./tree-bytes.ts";

export type CacheSharing = "shared" | "private" | "locked";

/** What `du` and prune see of a cache mount (record type `exec.cachemount`). */
export interface CacheMountRecord {
  readonly id: string;
  /** `id`, or `id:<input>` for one that started from an input. */
  readonly key: string;
  readonly description: string;
  /** Unix milliseconds. */
  readonly createdAt: number;
  readonly lastUsedAt: number;
  readonly usageCount: number;
  readonly sizeBytes: number;
  readonly inUse: boolean;
}

export interface CacheMountRequest {
  readonly key: string;
  readonly sharing: CacheSharing;
  readonly description: string;
  /** Fills a new mount; makes `path` as file or directory. Absent: an empty directory. */
  readonly seed?: (path: string) => Promise<void>;
  /** Sessions the step runs for; see `prune`. */
  readonly sessionIds: readonly string[];
}

/** A cache mount in use. */
export interface CacheMountLease extends AsyncDisposable {
  readonly path: string;
}

export interface CacheMountStoreOptions {
  readonly directory: string;
  readonly clock: Clock;
}

interface Entry {
  readonly id: string;
  readonly key: string;
  readonly description: string;
  readonly createdAt: number;
  lastUsedAt: number;
  usageCount: number;
  sizeBytes: number;
  /** Used since its size was taken. */
  changed: boolean;
  users: number;
  exclusive: boolean;
  /** Pruned: found by nobody any more, deleted when its last user leaves. */
  dropped: boolean;
  sessionIds: ReadonlySet<string>;
}

/**
 * Directories that outlive the steps which use them (map c9; BuildKit solver/llbsolver/mounts). Several may have one key: a
 * `private` user takes a free one or gets a new one, a `locked` user waits for a free one, `shared` users share one.
 * On disk: `<id>/data` and `<id>/meta.json`.
 */
export class CacheMountStore {
  readonly #directory: string;
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  /** Last request in line, by key: finding and making a mount is one step. */
  readonly #lines = new Map<string, Promise<unknown>>();
  #released = Promise.withResolvers<void>();

  private constructor(options: CacheMountStoreOptions) {
    this.#directory = options.directory;
    this.#clock = options.clock;
  }

  /** Opens what is on disk; half-made mounts and half-written files are deleted. */
  static async open(options: CacheMountStoreOptions): Promise<CacheMountStore> {
    const store = new CacheMountStore(options);
    await mkdir(options.directory, { recursive: true, mode: 0o700 });
    for (const id of await readdir(options.directory)) {
      try {
        const meta = JSON.parse(await readFile(join(options.directory, id, "meta.json"), "utf8")) as Entry;
        for (const name of await readdir(join(options.directory, id))) {
          if (name.startsWith("meta.json.")) await rm(join(options.directory, id, name), { force: true });
        }
        store.#entries.set(id, { ...meta, id, users: 0, exclusive: false, dropped: false, sessionIds: new Set() });
      } catch {
        await rm(join(options.directory, id), { recursive: true, force: true });
      }
    }
    return store;
  }

  /** Waits for its turn when `locked`. */
  async acquire(request: CacheMountRequest, signal: AbortSignal): Promise<CacheMountLease> {
    for (;;) {
      const released = this.#released.promise;
      const entry = await this.#inLine(request.key, () => this.#find(request));
      if (entry !== undefined) return this.#lease(entry);
      await withSignal(released, signal);
    }
  }

  /**
   * Forgets the mounts of an id, and with `nested` those that started from an input, so that the next step starts empty
   * (ignore_cache). Mounts already used for one of `sessionIds` stay: they are of the same build, which is pruned once.
   */
  prune(id: string, options: { readonly nested: boolean; readonly sessionIds: readonly string[] }): void {
    for (const entry of this.#entries.values()) {
      const matches = options.nested ? entry.key.startsWith(`${id}:`) : entry.key === id;
      if (!matches || options.sessionIds.some((session) => entry.sessionIds.has(session))) continue;
      entry.dropped = true;
      this.#deleteIfDropped(entry);
    }
  }

  /** All mounts, sizes up to date. */
  async list(): Promise<CacheMountRecord[]> {
    const records: CacheMountRecord[] = [];
    for (const entry of this.#entries.values()) {
      if (entry.changed || entry.users > 0) {
        entry.changed = entry.users > 0;
        entry.sizeBytes = await treeBytes(join(this.#directory, entry.id, "data"));
      }
      const { id, key, description, createdAt, lastUsedAt, usageCount, sizeBytes } = entry;
      records.push({ id, key, description, createdAt, lastUsedAt, usageCount, sizeBytes, inUse: entry.users > 0 });
    }
    return records;
  }

  /** @returns false when it is in use or unknown */
  async remove(id: string): Promise<boolean> {
    const entry = this.#entries.get(id);
    if (entry === undefined || entry.users > 0) return false;
    this.#entries.delete(id);
    await rm(join(this.#directory, id), { recursive: true, force: true });
    return true;
  }

  async #find(request: CacheMountRequest): Promise<Entry | undefined> {
    const existing = [...this.#entries.values()].filter((entry) => entry.key === request.key && !entry.dropped);
    const free = existing.find((entry) => entry.users === 0);
    const shared = existing.find((entry) => entry.users > 0 && !entry.exclusive);
    let entry = request.sharing === "shared" ? (shared ?? free) : free;
    if (entry === undefined && request.sharing === "locked" && existing.length > 0) return undefined;
    entry ??= await this.#create(request);
    entry.users++;
    entry.exclusive = request.sharing !== "shared";
    entry.usageCount++;
    entry.lastUsedAt = this.#clock.now();
    entry.sessionIds = new Set(request.sessionIds);
    return entry;
  }

  async #create(request: CacheMountRequest): Promise<Entry> {
    const id = randomUUID();
    const directory = join(this.#directory, id);
    const now = this.#clock.now();
    const entry: Entry = {
      id,
      key: request.key,
      description: request.description,
      createdAt: now,
      lastUsedAt: now,
      usageCount: 0,
      sizeBytes: 0,
      changed: true,
      users: 0,
      exclusive: false,
      dropped: false,
      sessionIds: new Set(),
    };
    try {
      await mkdir(directory, { mode: 0o700 });
      const data = join(directory, "data");
      if (request.seed === undefined) await mkdir(data, { mode: 0o755 });
      else await request.seed(data);
      await this.#save(entry);
    } catch (error) {
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
    this.#entries.set(id, entry);
    return entry;
  }

  #lease(entry: Entry): CacheMountLease {
    let held = true;
    return {
      path: join(this.#directory, entry.id, "data"),
      [Symbol.asyncDispose]: async () => {
        if (!held) return;
        held = false;
        entry.users--;
        entry.lastUsedAt = this.#clock.now();
        entry.changed = true;
        if (entry.dropped) this.#deleteIfDropped(entry);
        else await this.#save(entry);
        this.#released.resolve();
        this.#released = Promise.withResolvers();
      },
    };
  }

  #deleteIfDropped(entry: Entry): void {
    if (!entry.dropped || entry.users > 0) return;
    this.#entries.delete(entry.id);
    // In the background: nobody finds it any more, and a large tree takes a while. After a crash `open` sees it without meta.
    const directory = join(this.#directory, entry.id);
    rm(join(directory, "meta.json"), { force: true })
      .then(() => rm(directory, { recursive: true, force: true }))
      .catch(() => {});
  }

  async #save(entry: Entry): Promise<void> {
    const { key, description, createdAt, lastUsedAt, usageCount, sizeBytes, changed } = entry;
    const path = join(this.#directory, entry.id, "meta.json");
    const next = `${path}.${randomUUID()}`;
    await writeFile(next, JSON.stringify({ key, description, createdAt, lastUsedAt, usageCount, sizeBytes, changed }));
    await rename(next, path);
  }

  async #inLine<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#lines.get(key);
    const mine = (async () => {
      await before?.catch(() => {});
      return work();
    })();
    this.#lines.set(key, mine);
    try {
      return await mine;
    } finally {
      if (this.#lines.get(key) === mine) this.#lines.delete(key);
    }
  }
}
