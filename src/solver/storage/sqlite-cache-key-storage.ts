import { existsSync, renameSync, rmSync } from "node:fs";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { CacheBacklink, CacheKeyStorage, CacheLink, CacheResultRecord } from "../../core/seams/cache-storage.ts";
import type { Logger } from "../../core/seams/logger.ts";
import type { Digest } from "../../core/values/digest.ts";
import { rootKey } from "../cache-key.ts";

export interface SqliteCacheKeyStorageOptions {
  /** File of the database; `<path>-wal` and `<path>-shm` lie beside it. */
  readonly path: string;
  readonly logger: Logger;
}

const schema = `
  CREATE TABLE IF NOT EXISTS links (
    source TEXT NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL, digest TEXT NOT NULL, selector TEXT NOT NULL,
    target TEXT NOT NULL,
    PRIMARY KEY (source, input, output, digest, selector, target)
  ) WITHOUT ROWID, STRICT;
  CREATE INDEX IF NOT EXISTS links_by_target ON links (target);
  CREATE TABLE IF NOT EXISTS results (
    key TEXT NOT NULL, id TEXT NOT NULL, created_at REAL NOT NULL,
    PRIMARY KEY (key, id)
  ) WITHOUT ROWID, STRICT;
  CREATE INDEX IF NOT EXISTS results_by_id ON results (id);
`;

/**
 * Key graph in one SQLite file. Each call is one transaction, written ahead; a power loss may cost the last few, a crash of the
 * process none. A file that is no database is moved to `<path>.bak`, and an empty one takes its place (map d10).
 */
export class SqliteCacheKeyStorage implements CacheKeyStorage, Disposable {
  readonly #database: DatabaseSync;
  readonly #statements: Record<keyof typeof sql, StatementSync>;

  private constructor(database: DatabaseSync) {
    this.#database = database;
    const prepared = Object.entries(sql).map(([name, text]) => [name, database.prepare(text)]);
    this.#statements = Object.fromEntries(prepared);
  }

  static open({ path, logger }: SqliteCacheKeyStorageOptions): SqliteCacheKeyStorage {
    try {
      return new SqliteCacheKeyStorage(openDatabase(path));
    } catch (error) {
      if (!existsSync(path) || !isCorrupt(error)) throw error;
      logger.warn("Cache database is corrupt and starts anew", { path, backup: `${path}.bak`, error });
      renameSync(path, `${path}.bak`);
      for (const suffix of ["-wal", "-shm"]) rmSync(`${path}${suffix}`, { force: true });
      return new SqliteCacheKeyStorage(openDatabase(path));
    }
  }

  async exists(key: string): Promise<boolean> {
    return this.#statements.exists.get(key, key) !== undefined;
  }

  async links(key: string, link: CacheLink): Promise<readonly string[]> {
    const rows = this.#statements.links.all(key, link.input, link.output, link.digest, link.selector);
    return rows.map(({ target }) => String(target));
  }

  async addLink(key: string, link: CacheLink, target: string): Promise<void> {
    this.#statements.addLink.run(key, link.input, link.output, link.digest, link.selector, target);
  }

  async results(key: string): Promise<readonly CacheResultRecord[]> {
    return this.#statements.results
      .all(key)
      .map((row) => ({ id: String(row["id"]), createdAt: Number(row["created_at"]) }));
  }

  async addResult(key: string, record: CacheResultRecord): Promise<void> {
    this.#statements.addResult.run(key, record.id, record.createdAt);
  }

  async release(resultId: string): Promise<void> {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      this.#release(resultId);
      this.#database.exec("COMMIT");
    } catch (error) {
      this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  async backlinks(key: string): Promise<readonly CacheBacklink[]> {
    return this.#statements.backlinks.all(key).map((row) => ({
      key: String(row["source"]),
      input: Number(row["input"]),
      selector: String(row["selector"]),
      rootKey: rootKey(String(row["digest"]) as Digest, Number(row["output"])),
    }));
  }

  async *keys(): AsyncIterable<string> {
    for (const { key } of this.#statements.keys.all()) yield String(key);
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }

  #release(resultId: string): void {
    const keysOf = this.#statements.keysOfResult.all(resultId).map(({ key }) => String(key));
    this.#statements.removeResult.run(resultId);
    for (let key = keysOf.pop(); key !== undefined; key = keysOf.pop()) {
      if (this.#statements.exists.get(key, key) !== undefined) continue;
      const sources = this.#statements.sources.all(key).map(({ source }) => String(source));
      this.#statements.removeLinksTo.run(key);
      keysOf.push(...sources);
    }
  }
}

const sql = {
  exists: `SELECT 1 FROM links WHERE source = ? UNION ALL SELECT 1 FROM results WHERE key = ? LIMIT 1`,
  links: `SELECT target FROM links WHERE source = ? AND input = ? AND output = ? AND digest = ? AND selector = ?`,
  addLink: `INSERT OR IGNORE INTO links (source, input, output, digest, selector, target) VALUES (?, ?, ?, ?, ?, ?)`,
  results: `SELECT id, created_at FROM results WHERE key = ?`,
  addResult: `INSERT OR REPLACE INTO results (key, id, created_at) VALUES (?, ?, ?)`,
  keysOfResult: `SELECT key FROM results WHERE id = ?`,
  removeResult: `DELETE FROM results WHERE id = ?`,
  sources: `SELECT DISTINCT source FROM links WHERE target = ?`,
  removeLinksTo: `DELETE FROM links WHERE target = ?`,
  backlinks: `SELECT source, input, output, digest, selector FROM links WHERE target = ?`,
  keys: `SELECT source AS key FROM links UNION SELECT target FROM links UNION SELECT key FROM results`,
} as const;

function openDatabase(path: string): DatabaseSync {
  const database = new DatabaseSync(path);
  try {
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 5000;");
    database.exec(schema);
    if (database.prepare("PRAGMA quick_check(1)").get()?.["quick_check"] !== "ok") throw new CorruptDatabase();
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

class CorruptDatabase extends Error {}

/** SQLITE_CORRUPT (11) and SQLITE_NOTADB (26), see sqlite.org/rescode.html. */
function isCorrupt(error: unknown): boolean {
  if (error instanceof CorruptDatabase) return true;
  const code = error instanceof Error ? (error as { errcode?: number }).errcode : undefined;
  return code !== undefined && [11, 26].includes(code & 0xff);
}
