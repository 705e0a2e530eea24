import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import type { Clock } from "../../../core/seams/clock.ts";
import type {
  CacheMountHolder,
  CacheMountSized,
  CacheMountsForgotten,
  PublishedCacheMount,
} from "../../../core/values/cache-mount.ts";
import { randomId } from "../../../core/values/random-id.ts";
import { withSignal } from "../../../util/abort.ts";
import { KeyedSemaphore } from "../../../util/keyed-semaphore.ts";
import { CacheMountEntry } from "./cache-mount-entry.ts";
import type { CacheMountLease, CacheMountReading, CacheMountRecord, CacheMountRequest } from "./cache-mount-lease.ts";
import { treeBytes } from "./tree-bytes.ts";

export interface CacheMountStoreOptions {
  readonly directory: string;
  readonly clock: Clock;
  /** An entry that others may know is here no more. */
  readonly onGone?: (entryId: string) => void;
  /** One that others may know was measured. */
  readonly onSized?: (sized: Omit<CacheMountSized, "agentId">) => void;
}

/** How long another agent's copy waits for the end of steps that use the directory. */
const readerWaitMs = 5000;
/** How long a step waits for copies that other agents make; then they have to do without. */
const readerPatienceMs = 10_000;

/**
 * Directories that outlive the steps which use them (map c9; BuildKit solver/llbsolver/mounts). Several may have one key: a
 * `private` user takes a free one or gets a new one, a `locked` user waits for a free one, `shared` users share one. One that
 * is older than what the fleet has is replaced by a copy, which comes into being when it is complete.
 */
export class CacheMountStore {
  readonly #options: CacheMountStoreOptions;
  readonly #entries = new Map<string, CacheMountEntry>();
  /** Finding and making a mount is one step. */
  readonly #turns = new KeyedSemaphore(1);
  #released = Promise.withResolvers<void>();

  private constructor(options: CacheMountStoreOptions) {
    this.#options = options;
  }

  /** Opens what is on disk; half-made mounts and half-written files are deleted. */
  static async open(options: CacheMountStoreOptions): Promise<CacheMountStore> {
    const store = new CacheMountStore(options);
    const { directory } = options;
    await mkdir(directory, { recursive: true, mode: 0o700 });
    for (const id of await readdir(directory)) {
      try {
        store.#entries.set(id, await CacheMountEntry.load(directory, id));
      } catch {
        await rm(join(directory, id), { recursive: true, force: true });
      }
    }
    return store;
  }

  /** Waits for its turn when `locked`, and while other agents copy what it is to use: no new copy begins then. */
  async acquire(request: CacheMountRequest, signal: AbortSignal): Promise<CacheMountLease> {
    using waiting = new DisposableStack();
    for (let isLent = false; ; ) {
      const released = this.#released.promise;
      const { taken, lent } = await this.#find(request, signal);
      if (taken !== undefined) return this.#lease(taken);
      if (lent !== undefined && !isLent) {
        isLent = true;
        lent.awaited++;
        waiting.defer(() => lent.awaited--);
        waiting.adopt(
          setTimeout(() => lent.endReaders(), readerPatienceMs),
          clearTimeout,
        );
      }
      await withSignal(released, signal);
    }
  }

  /**
   * Has the newest version here, to be used later.
   * @returns what others may know of it; undefined when it is here already, or cannot be had
   */
  async copy(request: CacheMountRequest, signal: AbortSignal): Promise<PublishedCacheMount | undefined> {
    using _turn = await this.#turns.acquire(request.key, signal);
    const [own] = this.#existing(request);
    const newer = this.#newer(request, own);
    const entry = newer.length === 0 ? undefined : await this.#copied(request, newer);
    if (entry === undefined) return undefined;
    if (own !== undefined && !own.inUse) this.#drop(own);
    entry.users--;
    this.#notify();
    const { key, epoch, sizeBytes, version } = entry.facts;
    return version === undefined ? undefined : { key, epoch, entryId: entry.id, version, sizeBytes, cold: true };
  }

  /**
   * Lends a directory to another agent, as the last step that succeeded left it.
   * @throws BuildError NotFound when it is gone; Unavailable when a step failed with it or uses it for too long
   */
  async read(entryId: string, signal: AbortSignal): Promise<CacheMountReading> {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(readerWaitMs)]);
    for (;;) {
      const entry = this.#entries.get(entryId);
      if (entry === undefined || entry.dropped)
        throw new BuildError(Code.NotFound, `cache mount ${entryId} is not here`);
      if (entry.users + entry.awaited === 0) return this.#lend(entry, signal);
      try {
        await withSignal(this.#released.promise, limit);
      } catch {
        signal.throwIfAborted();
        throw new BuildError(Code.Unavailable, `cache mount ${entryId} is in use`);
      }
    }
  }

  /**
   * Forgets the mounts of an id, and with `nested` those that started from an input, so that the next step starts empty
   * (ignore_cache). Mounts already used for one of `sessionIds` stay: they are of the same build, which is pruned once.
   */
  prune({ id, nested, sessionIds }: CacheMountsForgotten): void {
    for (const entry of this.#entries.values()) {
      const matches = nested ? entry.facts.key.startsWith(`${id}:`) : entry.facts.key === id;
      if (!matches || sessionIds.some((session) => entry.sessionIds.has(session))) continue;
      this.#drop(entry);
    }
  }

  /** All mounts, sizes up to date. */
  async list(): Promise<CacheMountRecord[]> {
    const records: CacheMountRecord[] = [];
    for (const entry of this.#entries.values()) {
      if (entry.facts.changed || entry.users > 0) await this.#measure(entry);
      const { key, description, createdAt, lastUsedAt, usageCount, sizeBytes } = entry.facts;
      const { id, inUse } = entry;
      records.push({ id, key, description, createdAt, lastUsedAt, usageCount, sizeBytes, inUse });
    }
    return records;
  }

  /** @returns false when it is in use or unknown */
  async remove(id: string): Promise<boolean> {
    const entry = this.#entries.get(id);
    if (entry === undefined || entry.inUse) return false;
    this.#forget(entry);
    await rm(entry.directory, { recursive: true, force: true });
    return true;
  }

  async #measure({ id, data, users, facts }: CacheMountEntry): Promise<void> {
    facts.changed = users > 0;
    const before = facts.sizeBytes;
    facts.sizeBytes = await treeBytes(data);
    const { key, version, sizeBytes } = facts;
    if (version !== undefined && sizeBytes !== before) this.#options.onSized?.({ key, entryId: id, sizeBytes });
  }

  /** @returns what was taken, or a directory which is lent; neither when a step has to end first */
  async #find(request: CacheMountRequest, signal: AbortSignal): Promise<Found> {
    using _turn = await this.#turns.acquire(request.key, signal);
    const existing = this.#existing(request);
    const free = existing.find((entry) => entry.users === 0);
    const shared = existing.find((entry) => entry.users > 0 && !entry.exclusive);
    const own = request.sharing === "shared" ? (shared ?? free) : free;
    if (own === undefined && request.sharing === "locked" && existing.length > 0) return {};
    // Nobody removes or reads it from now on.
    if (own !== undefined) own.users++;
    let taken: CacheMountEntry | undefined;
    let lent: CacheMountEntry | undefined;
    try {
      const newer = own !== undefined && own === shared ? [] : this.#newer(request, own);
      const copied = newer.length === 0 ? undefined : await this.#copied(request, newer);
      if (copied !== undefined && own !== undefined) own.dropped = true;
      const entry = copied ?? own ?? (await this.#seeded(request, newer.length > 0));
      if (entry.readers.size > 0) {
        lent = entry;
        return { lent };
      }
      await this.#begin(entry, request);
      taken = entry;
      return { taken };
    } finally {
      if (own !== undefined && own !== taken) {
        own.users--;
        this.#deleteIfDropped(own);
        // What is lent is waited for here.
        if (lent === undefined) this.#notify();
      }
    }
  }

  async #begin(entry: CacheMountEntry, { sharing, sessionIds }: CacheMountRequest): Promise<void> {
    const { facts } = entry;
    entry.exclusive = sharing !== "shared";
    entry.sessionIds = new Set(sessionIds);
    facts.usageCount++;
    facts.lastUsedAt = this.#options.clock.now();
    await entry.setDirty(true);
  }

  /** Entries of the mount, those with the newest versions first. Those of another epoch go. */
  #existing({ key, epoch, holders }: CacheMountRequest): readonly CacheMountEntry[] {
    const rank = ({ id }: CacheMountEntry) => {
      const index = holders.findIndex(({ entryId }) => entryId === id);
      return index < 0 ? holders.length : index;
    };
    const existing = [...this.#entries.values()].filter((entry) => entry.facts.key === key && !entry.dropped);
    for (const entry of existing) if (entry.facts.epoch !== epoch) this.#drop(entry);
    return existing.filter((entry) => !entry.dropped).sort((a, b) => rank(a) - rank(b));
  }

  /** Versions that other agents have and that are newer than the own. */
  #newer({ holders }: CacheMountRequest, own: CacheMountEntry | undefined): readonly CacheMountHolder[] {
    const isOwn = (id: string, version: string) => id === own?.id || version === own?.facts.version;
    const rank = holders.findIndex(({ entryId, version }) => isOwn(entryId, version));
    // Several private entries: one in use here is no source.
    return holders.slice(0, rank < 0 ? undefined : rank).filter(({ entryId }) => !this.#entries.has(entryId));
  }

  /** A copy, to be used. @returns undefined when none can be had */
  async #copied(request: CacheMountRequest, newer: readonly CacheMountHolder[]): Promise<CacheMountEntry | undefined> {
    const entry = this.#create(request, false);
    const isMade = await this.#make(entry, async () => {
      const copy = await request.copy(newer, entry.directory);
      Object.assign(entry.facts, copy);
      return copy !== undefined;
    });
    return isMade ? entry : undefined;
  }

  /** A new one, to be used. */
  async #seeded(request: CacheMountRequest, cold: boolean): Promise<CacheMountEntry> {
    const entry = this.#create(request, cold);
    await this.#make(entry, async () => {
      if (request.seed === undefined) await mkdir(entry.data, { mode: 0o755 });
      else await request.seed(entry.data);
      return true;
    });
    return entry;
  }

  #create({ key, description, epoch }: CacheMountRequest, cold: boolean): CacheMountEntry {
    const { directory, clock } = this.#options;
    return CacheMountEntry.create(directory, { key, description, epoch, cold }, clock.now());
  }

  /** @param fill makes the entry's `data`; when it answers false, or fails, nothing is left */
  async #make(entry: CacheMountEntry, fill: () => Promise<boolean>): Promise<boolean> {
    let isMade = false;
    try {
      await mkdir(entry.directory, { mode: 0o700 });
      if (await fill()) {
        await entry.save();
        entry.users = 1;
        this.#entries.set(entry.id, entry);
        isMade = true;
      }
      return isMade;
    } finally {
      if (!isMade) await rm(entry.directory, { recursive: true, force: true });
    }
  }

  #lease(entry: CacheMountEntry): CacheMountLease {
    let held = true;
    const end = async (version?: string) => {
      held = false;
      entry.facts.lastUsedAt = this.#options.clock.now();
      entry.facts.changed = true;
      try {
        if (entry.dropped) return;
        if (version !== undefined) entry.facts.version = version;
        await entry.save();
        // Another one may have joined meanwhile.
        if (version !== undefined && entry.users === 1) await entry.setDirty(false);
      } finally {
        entry.users--;
        this.#deleteIfDropped(entry);
        this.#notify();
      }
    };
    return {
      path: entry.data,
      publish: async () => {
        if (!held) return undefined;
        const isLast = entry.users === 1 && !entry.dropped;
        const version = randomId();
        const { key, epoch, sizeBytes, cold } = entry.facts;
        await end(isLast ? version : undefined);
        return isLast ? { key, epoch, entryId: entry.id, version, sizeBytes, cold } : undefined;
      },
      [Symbol.asyncDispose]: async () => {
        if (held) await end();
      },
    };
  }

  #lend(entry: CacheMountEntry, signal: AbortSignal): CacheMountReading {
    const { directory } = entry;
    const { version } = entry.facts;
    if (version === undefined || entry.dirty) {
      throw new BuildError(Code.Unavailable, `cache mount ${entry.id} was left by a step that failed`);
    }
    const reader = new AbortController();
    entry.readers.add(reader);
    return {
      directory,
      version,
      signal: AbortSignal.any([signal, reader.signal]),
      [Symbol.dispose]: () => {
        if (!entry.readers.delete(reader)) return;
        this.#deleteIfDropped(entry);
        this.#notify();
      },
    };
  }

  #notify(): void {
    this.#released.resolve();
    this.#released = Promise.withResolvers();
  }

  #drop(entry: CacheMountEntry): void {
    entry.dropped = true;
    this.#deleteIfDropped(entry);
  }

  #deleteIfDropped(entry: CacheMountEntry): void {
    if (!entry.dropped || entry.inUse || !this.#entries.has(entry.id)) return;
    this.#forget(entry);
    // In the background: nobody finds it any more, and a large tree takes a while. After a crash `open` sees it without meta.
    rm(join(entry.directory, "meta.json"), { force: true })
      .then(() => rm(entry.directory, { recursive: true, force: true }))
      .catch(() => {});
  }

  #forget(entry: CacheMountEntry): void {
    this.#entries.delete(entry.id);
    if (entry.facts.version !== undefined) this.#options.onGone?.(entry.id);
  }
}

interface Found {
  readonly taken?: CacheMountEntry;
  readonly lent?: CacheMountEntry;
}
