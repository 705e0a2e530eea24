import { mkdirSync, renameSync } from "node:fs";
import { readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { randomId } from "../../core/values/random-id.ts";
import { treeBytes } from "../ops/exec/index.ts";

/** What `du` and prune see of a mirror of a git remote. */
export interface GitMirrorRecord {
  readonly id: string;
  readonly description: string;
  readonly sizeBytes: number;
  /** Unix milliseconds. */
  readonly createdAt: number;
  readonly lastUsedAt: number;
}

/** The mirrors that git sources keep of their remotes, `<directory>/<name>.git` (BuildKit source/git: shared git repos). */
export class GitMirrorInventory {
  readonly #directory: string;
  readonly #trash: string;
  /** Size by name, with the time of the fetch it was taken after. */
  readonly #sizes = new Map<string, { readonly fetchedAt: number; readonly bytes: number }>();

  constructor(directory: string) {
    this.#directory = directory;
    this.#trash = join(directory, "trash");
  }

  async list(): Promise<readonly GitMirrorRecord[]> {
    const names = await readdir(this.#directory).catch((): string[] => []);
    const records = names.filter((name) => name.endsWith(".git")).map((name) => this.#record(name));
    return (await Promise.all(records)).filter((record) => record !== undefined);
  }

  /** Call while no git source runs: a mirror has no users but those. It is out of the way before this first waits. */
  async remove(id: string): Promise<boolean> {
    const name = `${id}.git`;
    const away = join(this.#trash, randomId());
    try {
      mkdirSync(this.#trash, { recursive: true });
      renameSync(join(this.#directory, name), away);
    } catch {
      return false;
    }
    this.#sizes.delete(name);
    await rm(this.#trash, { recursive: true, force: true });
    return true;
  }

  async #record(name: string): Promise<GitMirrorRecord | undefined> {
    const path = join(this.#directory, name);
    try {
      const [directory, fetched, config] = await Promise.all([
        stat(path),
        stat(join(path, "FETCH_HEAD")).catch(() => undefined),
        readFile(join(path, "config"), "utf8"),
      ]);
      const lastUsedAt = Math.max(directory.mtimeMs, fetched?.mtimeMs ?? 0);
      let size = this.#sizes.get(name);
      if (size?.fetchedAt !== lastUsedAt) {
        size = { fetchedAt: lastUsedAt, bytes: await treeBytes(path) };
        this.#sizes.set(name, size);
      }
      return {
        id: name.slice(0, -".git".length),
        description: `shared git repo for ${remoteOf(config)}`,
        sizeBytes: size.bytes,
        createdAt: Math.floor(directory.birthtimeMs),
        lastUsedAt: Math.floor(lastUsedAt),
      };
    } catch {
      // Being made anew.
      return undefined;
    }
  }
}

/** Without user and password. */
function remoteOf(config: string): string {
  const remote = /^\s*url = (.*)$/m.exec(config)?.[1] ?? "";
  return remote.replace(/^([a-z+]+:\/\/)[^/@]*@/i, "$1");
}
