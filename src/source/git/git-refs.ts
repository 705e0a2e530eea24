import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { sourceError } from "../source-identifier.ts";
import type { GitCli } from "./git-cli.ts";
import { checkChecksumForm, type GitIdentifier } from "./git-identifier.ts";
import { isCommitSha, redactCredentials } from "./git-url.ts";

/** What a ref of a remote points to now. */
export interface ResolvedRef {
  /** Full name, or the commit itself when asked for by commit. */
  readonly ref: string;
  /** The object it names; a tag object for an annotated tag. */
  readonly sha: string;
  /** The commit behind an annotated tag, when that is what the cache key uses; else empty. */
  readonly commit: string;
  /** Default branch, when no ref was given; else empty. */
  readonly defaultBranch: string;
}

/** What needs no remote: a commit given by its name. undefined when the remote must be asked. */
export function resolveLocally(id: GitIdentifier): ResolvedRef | undefined {
  checkChecksumForm(id);
  const plain = { commit: "", defaultBranch: "" };
  if (isCommitSha(id.ref)) {
    if (!id.ref.startsWith(id.checksum)) {
      throw sourceError(`expected checksum to match ${id.checksum}, got ${id.ref}`);
    }
    return { ...plain, ref: id.ref, sha: id.ref };
  }
  if (!id.fetchByCommit) return undefined;
  if (id.checksum === "") throw sourceError("fetch-by-commit requires a checksum or a commit SHA ref");
  if (!isCommitSha(id.checksum)) {
    throw sourceError(`fetch-by-commit requires a full commit SHA checksum, got ${JSON.stringify(id.checksum)}`);
  }
  return { ...plain, ref: id.ref === "" ? id.checksum : qualifiedBranch(id.ref), sha: id.checksum };
}

/** `main` → `refs/heads/main`; full names stay. */
export function qualifiedBranch(ref: string): string {
  return ref.startsWith("refs/") ? ref : `refs/heads/${ref}`;
}

/**
 * Asks the remote; a branch beats a tag of the same name.
 * @param url what is asked in its place
 */
export async function resolveRemotely(id: GitIdentifier, git: GitCli, url = id.remote): Promise<ResolvedRef> {
  const defaultBranch = id.ref === "" ? await readDefaultBranch(url, git) : "";
  const ref = id.ref === "" ? defaultBranch : id.ref;
  let output: string;
  try {
    output = (await git.run("ls-remote", "--", url, ref, `${ref}^{}`)).toString("utf8");
  } catch (error) {
    throw within(`failed to fetch remote ${redactCredentials(id.remote)}`, error);
  }
  const shas = new Map(
    output.split("\n").map((line) => {
      const tab = line.indexOf("\t");
      return [line.slice(tab + 1), tab < 0 ? "" : line.slice(0, tab)] as const;
    }),
  );
  const tag = `refs/tags/${ref.replace(/^refs\/tags\//, "")}`;
  const head = `refs/heads/${ref.replace(/^refs\/heads\//, "")}`;
  const partial = `refs/${ref.replace(/^refs\//, "")}`;
  const order = partial === tag || partial === head ? [head, tag] : [partial, head, tag];
  const used = order.find((name) => (shas.get(name) ?? "") !== "");
  const sha = used === undefined ? "" : (shas.get(used) ?? "");
  if (used === undefined) {
    throw sourceError(`repository does not contain ref ${ref}, output: ${JSON.stringify(output)}`);
  }
  if (!isCommitSha(sha)) throw sourceError(`invalid commit sha ${JSON.stringify(sha)}`);
  const behind = used === tag ? (shas.get(`${tag}^{}`) ?? "") : "";
  if (!sha.startsWith(id.checksum) && !(behind !== "" && behind.startsWith(id.checksum))) {
    const found = behind === "" ? sha : ` or ${behind}`;
    throw sourceError(`expected checksum to match ${id.checksum}, got ${found}`);
  }
  return { ref: used, sha, commit: id.keepGitDir ? "" : behind, defaultBranch };
}

export async function readDefaultBranch(remote: string, git: GitCli): Promise<string> {
  let output: string;
  try {
    output = (await git.run("ls-remote", "--symref", remote, "HEAD")).toString("utf8");
  } catch (error) {
    throw within(`error fetching default branch for repository ${redactCredentials(remote)}`, error);
  }
  const branch = /refs\/heads\/(\S+)/.exec(output)?.[1];
  if (branch === undefined) {
    throw sourceError(`could not find default branch for repository: ${redactCredentials(remote)}`);
  }
  if (branch.startsWith("-")) throw sourceError(`invalid git ref ${JSON.stringify(branch)}`);
  return branch;
}

/** Puts context before what git said; an abort, or a fault of this machine, passes as it is. */
export function within(context: string, error: unknown): unknown {
  const fromGit = error instanceof BuildError && error.code === Code.Unknown;
  return fromGit ? sourceError(`${context}: ${error.message}`, error) : error;
}
