import { mkdir, mkdtemp, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { digestHex, sha256 } from "../../core/values/digest.ts";
import { sourceError } from "../source-identifier.ts";
import type { GitCli } from "./git-cli.ts";
import { type GitIdentifier, pinnedCommit } from "./git-identifier.ts";
import { type ResolvedRef, within } from "./git-refs.ts";
import { isCommitSha, redactCredentials } from "./git-url.ts";

/** A URL, or `origin` for the remote itself. */
export type GitOrigin = () => Promise<string>;

const draftPrefix = "new-";

/**
 * The shared bare repositories of an agent, one per remote: what was fetched once need not be fetched again. The caller
 * holds the remote's lock while it uses one.
 */
export class GitMirrors {
  readonly #directory: string;
  /** Repositories whose last fetch here ended well: the others may have been left in the middle of a write. */
  readonly #whole = new Set<string>();
  #draftsGone: Promise<void> | undefined;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * The remote's repository with the wanted commit in it.
   * @param origin what is asked for it, when it is not there
   * @returns its git directory
   */
  async fetch(id: GitIdentifier, wanted: ResolvedRef, git: GitCli, origin: GitOrigin): Promise<string> {
    try {
      return await this.#fetch(id, wanted, git, origin, false);
    } catch (error) {
      // The remote moved in a way the local refs cannot follow (a tag replaced, a branch that became a directory).
      if (!cannotFollow(error)) throw error;
      return this.#fetch(id, wanted, git, origin, true);
    }
  }

  async #fetch(
    id: GitIdentifier,
    wanted: ResolvedRef,
    outer: GitCli,
    origin: GitOrigin,
    fresh: boolean,
  ): Promise<string> {
    const gitDir = await this.#open(id, wanted.sha.length === 64, outer, fresh);
    const git = outer.with({ gitDir });
    const ref = targetRef(id, wanted);
    const byCommit = pinnedCommit(id);
    const fetchRef = byCommit === "" ? ref : byCommit;
    // A bundle holds all history; what was fetched for a checkout may be without.
    const isCut = id.checkoutBundle && (await exists(join(gitDir, "shallow")));
    const present =
      !isCut && isCommitSha(fetchRef) && (await git.succeeds("cat-file", "-e", "--", `${fetchRef}^{commit}`));
    if (!present) await this.#bring(id, wanted, { ref, fetchRef, gitDir, origin: await origin() }, git);
    this.#whole.add(gitDir);
    await verifyChecksum(id, fetchRef, git);
    return gitDir;
  }

  async #bring(
    id: GitIdentifier,
    wanted: ResolvedRef,
    names: { readonly ref: string; readonly fetchRef: string; readonly gitDir: string; readonly origin: string },
    git: GitCli,
  ): Promise<void> {
    const { ref, fetchRef, gitDir, origin } = names;
    const remote = redactCredentials(id.remote);
    await rm(join(gitDir, "shallow.lock"), { force: true });
    // A local ref of its own makes the commit known to later fetches.
    const local = ref.startsWith("refs/tags/") ? ref : `tags/${ref}`;
    const depth =
      !id.checkoutBundle && (id.fetchByCommit || !isCommitSha(fetchRef))
        ? ["--depth=1", "--no-tags"]
        : ["--tags", ...(await unshallow(gitDir))];
    const refspec = isCommitSha(ref) ? [ref] : ["--force", "--", `${fetchRef}:${local}`];
    await git.run("fetch", ...depth, origin, ...refspec).catch((error: unknown) => {
      throw within(`failed to fetch remote ${remote}`, error);
    });
    if ((await git.text("rev-parse", fetchRef)) === wanted.sha) return;
    // The ref moved since it was resolved: the commit it was resolved to is what the cache key promises.
    const full = local.startsWith("refs/") ? local : `refs/${local}`;
    if (!(await git.succeeds("cat-file", "-e", wanted.sha))) {
      await git.run("fetch", "--tags", ...(await unshallow(gitDir)), origin, wanted.sha).catch((error: unknown) => {
        throw within(`failed to fetch remote ${remote}`, error);
      });
      await git.run("reflog", "expire", "--all", "--expire=now");
      if (!(await git.succeeds("cat-file", "-e", wanted.sha))) {
        throw sourceError(
          `fetched ref ${ref} does not match expected commit ${wanted.sha} and commit can not be found in the repository`,
        );
      }
    }
    await git.run("update-ref", full, wanted.sha, "--no-deref");
  }

  async #open(id: GitIdentifier, isSha256: boolean, git: GitCli, fresh: boolean): Promise<string> {
    const name = `${digestHex(sha256(id.remote))}${isSha256 ? "-sha256" : ""}.git`;
    const path = join(this.#directory, name);
    if (fresh) await rm(path, { recursive: true, force: true });
    if (await exists(path)) {
      if (!this.#whole.delete(path)) await removeUnfinished(path);
      return path;
    }
    this.#draftsGone ??= removeDrafts(this.#directory);
    await this.#draftsGone;
    // Made aside and moved: a crash leaves no half-made repository under the name.
    const draft = await mkdtemp(join(this.#directory, draftPrefix));
    try {
      const bare = git.with({ gitDir: draft });
      const format = isSha256 ? ["--object-format=sha256"] : [];
      await bare.run("-c", "init.defaultBranch=master", "init", "--bare", ...format);
      await bare.run("remote", "add", "origin", id.remote);
      await rename(draft, path);
    } catch (error) {
      await rm(draft, { recursive: true, force: true });
      throw within(`failed to init repo at ${path}`, error);
    }
    return path;
  }
}

/** Makes the directory of the repositories; deletes those that an earlier process had only begun to make. */
async function removeDrafts(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  for (const name of await readdir(directory)) {
    if (name.startsWith(draftPrefix)) await rm(join(directory, name), { recursive: true, force: true });
  }
}

/** Deletes what a git that was killed left in a repository: locks, which would stop the next one for ever, and half a pack. */
async function removeUnfinished(gitDir: string): Promise<void> {
  for (const path of await readdir(gitDir, { recursive: true })) {
    const name = basename(path);
    if (name.endsWith(".lock") || name.startsWith("tmp_"))
      await rm(join(gitDir, path), { recursive: true, force: true });
  }
}

/** The name under which the mirror knows what is wanted. */
export function targetRef(id: GitIdentifier, wanted: ResolvedRef): string {
  if (id.fetchByCommit) return wanted.ref;
  return id.ref === "" ? wanted.defaultBranch : id.ref;
}

async function verifyChecksum(id: GitIdentifier, ref: string, git: GitCli): Promise<void> {
  if (id.checksum === "") return;
  const actual = await git.text("rev-parse", ref).catch((error: unknown) => {
    throw within(`failed to rev-parse ${ref} for ${redactCredentials(id.remote)}`, error);
  });
  if (actual.startsWith(id.checksum)) return;
  const peeled = (await git.succeeds("rev-parse", `${ref}^{}`)) ? await git.text("rev-parse", `${ref}^{}`) : actual;
  if (peeled === actual) throw sourceError(`expected checksum to match ${id.checksum}, got ${actual}`);
  if (!peeled.startsWith(id.checksum)) {
    throw sourceError(`expected checksum to match ${id.checksum}, got ${actual} or ${peeled}`);
  }
}

function cannotFollow(error: unknown): boolean {
  const text = error instanceof Error ? error.message : "";
  if (text.includes("rejected") && text.includes("(would clobber existing tag)")) return true;
  return (
    text.includes("some local refs could not be updated;") &&
    /\(unable to update local ref\)|refname conflict/.test(text)
  );
}

async function unshallow(gitDir: string): Promise<readonly string[]> {
  return (await exists(join(gitDir, "shallow"))) ? ["--unshallow"] : [];
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
