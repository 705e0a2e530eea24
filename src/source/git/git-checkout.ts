import { randomUUID } from "node:crypto";
import { chmod, lstat, lutimes, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { sourceError } from "../source-identifier.ts";
import type { GitCli } from "./git-cli.ts";
import { type GitIdentifier, pinnedCommit } from "./git-identifier.ts";
import { targetRef } from "./git-mirror.ts";
import { type ResolvedRef, within } from "./git-refs.ts";
import { isCommitSha, redactCredentials } from "./git-url.ts";

/**
 * Puts the wanted commit's files into an empty directory (BuildKit source/git, checkout).
 * @param gitDir the mirror which has the commit
 */
export async function checkoutGit(job: {
  readonly id: GitIdentifier;
  readonly wanted: ResolvedRef;
  readonly git: GitCli;
  readonly gitDir: string;
  readonly directory: string;
  /** Files can be written by all, as before BuildKit 0.15. */
  readonly openFileModes: boolean;
}): Promise<void> {
  const { id, directory } = job;
  const remote = redactCredentials(id.remote);
  const withSubdir = id.subdir !== "";
  const root = withSubdir ? await mkdtemp(join(directory, "checkout")) : directory;
  const repository =
    id.keepGitDir && !withSubdir
      ? await checkoutWithGitDir({ ...job, root, remote })
      : await checkoutFiles({ ...job, root, remote });
  if (!id.skipSubmodules) {
    await repository.run("submodule", "update", "--init", "--recursive", "--depth=1").catch((error: unknown) => {
      throw within(`failed to update submodules for ${remote}`, error);
    });
  }
  if (withSubdir) await keepOnly(id.subdir, root, directory);
  if (job.openFileModes) await openFiles(directory);
  if (id.mtime === "commit") {
    const commit = `${commitName(job.id, job.wanted)}^{commit}`;
    const seconds = Number(await job.git.with({ gitDir: job.gitDir }).text("log", "-1", "--format=%ct", commit));
    if (!Number.isSafeInteger(seconds)) throw sourceError(`failed to get commit time for ${remote}`);
    await setTimes(directory, seconds);
  }
}

interface CheckoutJob {
  readonly id: GitIdentifier;
  readonly wanted: ResolvedRef;
  readonly git: GitCli;
  readonly gitDir: string;
  readonly root: string;
  readonly remote: string;
}

async function checkoutFiles(job: CheckoutJob): Promise<GitCli> {
  const git = job.git.with({ workTree: job.root, gitDir: job.gitDir });
  await git.run("checkout", "--no-overlay", commitName(job.id, job.wanted), "--", ".").catch((error: unknown) => {
    throw within(`failed to checkout remote ${job.remote}`, error);
  });
  return git;
}

/** A repository of its own inside the result, as a shallow clone would be, with no trace of the mirror. */
async function checkoutWithGitDir(job: CheckoutJob): Promise<GitCli> {
  const { id, wanted, root, remote } = job;
  const mirror = job.git.with({ gitDir: job.gitDir });
  const gitDir = join(root, ".git");
  const git = job.git.with({ workTree: root, gitDir });
  const format = wanted.sha.length === 64 ? ["--object-format=sha256"] : [];
  await git.run("-c", "init.defaultBranch=master", "init", ...format);
  // By the file protocol: a plain path would let git link or copy files outside the object store.
  await git.run("remote", "add", "origin", `file://${job.gitDir}`);
  await git.run("fetch", "-u", "--depth=1", "--", "origin", await pullRefspec(id, wanted, mirror));
  await git.run("checkout", "FETCH_HEAD").catch((error: unknown) => {
    throw within(`failed to checkout remote ${remote}`, error);
  });
  await git.run("remote", "set-url", "origin", remote).catch((error: unknown) => {
    throw within(`failed to set remote origin to ${remote}`, error);
  });
  await git.run("reflog", "expire", "--all", "--expire=now").catch((error: unknown) => {
    throw within(`failed to expire reflog for remote ${remote}`, error);
  });
  await rm(join(gitDir, "FETCH_HEAD"), { force: true });
  return git;
}

async function pullRefspec(id: GitIdentifier, wanted: ResolvedRef, mirror: GitCli): Promise<string> {
  const ref = targetRef(id, wanted);
  const commit = commitName(id, wanted);
  if ((await mirror.text("cat-file", "-t", commit)) === "tag") {
    return `${ref}:${ref.startsWith("refs/tags/") ? ref : `refs/tags/${ref}`}`;
  }
  if (ref !== commit) return `${commit}:${ref}`;
  if (!isCommitSha(ref)) return `${ref}:${ref}`;
  const temporary = `refs/buildkit/${randomUUID()}`;
  await mirror.run("update-ref", temporary, ref);
  return temporary;
}

/** What to check out of the mirror: fetched by commit, the ref itself is not there. */
function commitName(id: GitIdentifier, wanted: ResolvedRef): string {
  return pinnedCommit(id) || targetRef(id, wanted);
}

/** Moves one sub-directory's entries up to `directory` and drops the rest. Links on the way are refused. */
async function keepOnly(subdir: string, root: string, directory: string): Promise<void> {
  let path = "";
  for (const part of subdir.split("/")) {
    path = path === "" ? part : `${path}/${part}`;
    const found = await lstat(join(root, path)).catch((error: unknown) => {
      throw within(`invalid subdir ${subdir}: failed to lstat ${JSON.stringify(path)}`, describeErrno(error, path));
    });
    if (!found.isDirectory()) {
      throw sourceError(
        `invalid subdir ${subdir}: git subpath ${JSON.stringify(subdir)} contains non-directory ${JSON.stringify(path)}`,
      );
    }
  }
  for (const name of await readdir(join(root, subdir))) {
    await rename(join(root, subdir, name), join(directory, name));
  }
  await rm(root, { recursive: true });
}

function describeErrno(error: unknown, path: string): unknown {
  return (error as NodeJS.ErrnoException).code === "ENOENT"
    ? sourceError(`lstat ${path}: no such file or directory`)
    : error;
}

/** Only files that are not executable: of those it was never so. */
async function openFiles(directory: string): Promise<void> {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) await openFiles(path);
    if (!entry.isFile()) continue;
    const { mode } = await lstat(path);
    if ((mode & 0o111) === 0) await chmod(path, (mode & 0o7777) | 0o222);
  }
}

/** Children first, or their writing would move the directory's own time. */
async function setTimes(directory: string, seconds: number): Promise<void> {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) await setTimes(path, seconds);
    else await lutimes(path, seconds, seconds);
  }
  await lutimes(directory, seconds, seconds);
}
