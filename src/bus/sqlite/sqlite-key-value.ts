import { renameSync, rmSync } from "node:fs";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import type {
  KeyValue,
  KeyValueChange,
  KeyValueEntry,
  KeyValueStore,
  KeyValueWatch,
} from "../../core/seams/key-value.ts";
import { type Logger, silentLogger } from "../../core/seams/logger.ts";
import { keyExists, revisionMismatch, WatcherSet } from "../memory/memory-key-value.ts";

/**
 * Buckets in one SQLite file, for one process: the durable state of a standalone coordinator. A file that SQLite calls corrupt
 * is moved to `<path>.bak`, with a warning, and begun anew: what it held can be built again.
 */
export class SqliteKeyValueStore implements KeyValueStore, Disposable {
  readonly #database: DatabaseSync;
  readonly #buckets = new Map<string, SqliteKeyValue>();

  constructor(path: string, logger: Logger = silentLogger) {
    this.#database = openDatabase(path, logger);
  }

  async open(bucket: string): Promise<KeyValue> {
    let found = this.#buckets.get(bucket);
    if (found === undefined) {
      found = new SqliteKeyValue(this.#database, bucket);
      this.#buckets.set(bucket, found);
    }
    return found;
  }

  [Symbol.dispose](): void {
    if (this.#database.isOpen) this.#database.close();
  }
}

function openDatabase(path: string, logger: Logger): DatabaseSync {
  try {
    return initialize(path);
  } catch (error) {
    if (!isCorrupt(error)) throw error;
    const movedTo = `${path}.bak`;
    renameSync(path, movedTo);
    // The log and its index belong to the file that went.
    for (const suffix of ["-wal", "-shm"]) rmSync(path + suffix, { force: true });
    logger.warn("damaged database moved aside, an empty one takes its place", { path, movedTo, error: String(error) });
    return initialize(path);
  }
}

/** The file is a database, but pages of it are damaged. */
class DamagedDatabaseError extends Error {}

/** SQLITE_CORRUPT and SQLITE_NOTADB; not what is locked, forbidden or elsewhere. */
function isCorrupt(error: unknown): boolean {
  if (error instanceof DamagedDatabaseError) return true;
  const { errcode = 0 } = error as { readonly errcode?: number };
  return [11, 26].includes(errcode & 0xff);
}

function initialize(path: string): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: 5000 });
  try {
    // NORMAL: an OS crash may lose the last commits but not the file; what is lost is only a cache entry.
    database.exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;");
    database.exec(
      "CREATE TABLE IF NOT EXISTS entry (bucket TEXT, key TEXT, value BLOB, revision INTEGER, PRIMARY KEY (bucket, key)) WITHOUT ROWID",
    );
    // Found now rather than by a look-up in the middle of a build.
    if (database.prepare("PRAGMA quick_check(1)").get()?.["quick_check"] !== "ok") throw new DamagedDatabaseError(path);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

interface Row {
  readonly key: string;
  readonly value: Uint8Array;
  readonly revision: number;
}

class SqliteKeyValue implements KeyValue {
  readonly #bucket: string;
  readonly #select: StatementSync;
  readonly #selectAll: StatementSync;
  readonly #upsert: StatementSync;
  readonly #remove: StatementSync;
  readonly #watchers = new WatcherSet();
  #revision: number;

  constructor(database: DatabaseSync, bucket: string) {
    this.#bucket = bucket;
    this.#select = database.prepare("SELECT key, value, revision FROM entry WHERE bucket = ? AND key = ?");
    this.#selectAll = database.prepare("SELECT key, value, revision FROM entry WHERE bucket = ?");
    this.#upsert = database.prepare(
      "INSERT INTO entry VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value, revision = excluded.revision",
    );
    this.#remove = database.prepare("DELETE FROM entry WHERE bucket = ? AND key = ?");
    const last = database.prepare("SELECT max(revision) AS revision FROM entry WHERE bucket = ?").get(bucket);
    this.#revision = Number(last?.["revision"] ?? 0);
  }

  async get(key: string): Promise<KeyValueEntry | undefined> {
    return this.#select.get(this.#bucket, key) as unknown as Row | undefined;
  }

  async put(key: string, value: Uint8Array): Promise<number> {
    const revision = ++this.#revision;
    this.#upsert.run(this.#bucket, key, value, revision);
    this.#watchers.notify({ key, value, revision });
    return revision;
  }

  async create(key: string, value: Uint8Array): Promise<number> {
    if (this.#select.get(this.#bucket, key) !== undefined) throw keyExists(key);
    return this.put(key, value);
  }

  async update(key: string, value: Uint8Array, revision: number): Promise<number> {
    const row = this.#select.get(this.#bucket, key) as unknown as Row | undefined;
    if ((row?.revision ?? 0) !== revision) throw revisionMismatch(key);
    return this.put(key, value);
  }

  async delete(key: string, revision?: number): Promise<void> {
    const row = this.#select.get(this.#bucket, key) as unknown as Row | undefined;
    if (revision !== undefined && row?.revision !== revision) throw revisionMismatch(key);
    if (this.#remove.run(this.#bucket, key).changes === 0) return;
    this.#watchers.notify({ key, value: undefined, revision: ++this.#revision });
  }

  watch(prefix: string, onEntry: (entry: KeyValueChange) => void): KeyValueWatch {
    return this.#watchers.add(prefix, onEntry, this.#selectAll.all(this.#bucket) as unknown as Row[]);
  }
}
