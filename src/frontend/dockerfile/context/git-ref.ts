import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import { type GitOptions, parseGitUrl } from "../../../llb/builder/index.ts";
import { parseBool } from "../text.ts";

/** A git URL as contexts and ADD take it (BuildKit frontend/dockerfile/dfgitutil/git_ref.go). */
export interface GitRef {
  readonly remote: string;
  readonly ref: string;
  readonly checksum: string;
  readonly subdir: string;
  /** `github.com/a/b`: could be a local path; a git URL only as a build context. */
  readonly indistinguishableFromLocal: boolean;
  readonly keepGitDir?: boolean;
  readonly submodules?: boolean;
  readonly mtime?: string;
  readonly fetchByCommit: boolean;
}

/**
 * undefined: not a git URL. An `http(s)` URL is one only when its path ends in `.git`.
 *
 * @throws BuildError when it is one with a bad query
 */
export function parseGitRef(text: string): GitRef | undefined {
  if (text.startsWith("./") || text.startsWith("../")) return undefined;
  const indistinguishableFromLocal = text.startsWith("github.com/");
  const parsed = parseGitUrl(indistinguishableFromLocal ? `https://${text}` : text);
  if (parsed.kind !== "url") return undefined;
  const { url } = parsed;
  const web = url.scheme === "http" || url.scheme === "https";
  if (web && !indistinguishableFromLocal && !url.path.endsWith(".git")) return undefined;
  return {
    remote: indistinguishableFromLocal ? url.remote.replace(/^https:\/\//, "") : url.remote,
    indistinguishableFromLocal,
    ...readQuery(url.query, url.ref, url.subdir),
  };
}

/** Options of the git source for a reference. */
export function gitOptions(ref: GitRef): GitOptions {
  return {
    ref: ref.ref,
    subdir: ref.subdir,
    checksum: ref.checksum,
    keepGitDir: ref.keepGitDir ?? false,
    skipSubmodules: ref.submodules === false,
    fetchByCommit: ref.fetchByCommit,
    ...(ref.mtime === undefined ? {} : { mtime: ref.mtime }),
  };
}

type QueryPart = Omit<GitRef, "remote" | "indistinguishableFromLocal">;

function readQuery(query: URLSearchParams, fragmentRef: string, fragmentSubdir: string): QueryPart {
  const one = (key: string): string | undefined => query.get(key) ?? undefined;
  const flags = new Set(["submodules", "keep-git-dir", "fetch-by-commit"]);
  const known = new Set(["ref", "tag", "branch", "subdir", "checksum", "commit", "mtime", ...flags]);
  for (const key of new Set(query.keys())) {
    if (query.getAll(key).length > 1) throw bad(`query ${JSON.stringify(key)} has multiple values`);
    if (one(key) === "" && !flags.has(key)) throw bad(`query ${JSON.stringify(key)} has no value`);
    if (!known.has(key)) throw bad(`unexpected query ${JSON.stringify(key)}`);
  }
  const flag = (key: string): boolean | undefined => {
    const text = one(key);
    if (text === undefined) return undefined;
    const value = text === "" ? true : parseBool(text);
    if (value === undefined) throw bad(`invalid ${key} value: ${JSON.stringify(text)}`);
    return value;
  };
  const mtime = one("mtime");
  if (mtime !== undefined && mtime !== "checkout" && mtime !== "commit") {
    throw bad(`invalid mtime value: ${JSON.stringify(mtime)} (must be "checkout" or "commit")`);
  }
  const tag = qualified(one("tag"), "refs/tags/");
  const branch = qualified(one("branch"), "refs/heads/");
  if (tag !== undefined && branch !== undefined) throw bad("branch conflicts with tag");
  let ref = agreed("ref", fragmentRef, one("ref"));
  ref = agreed("ref", ref, tag ?? branch);
  const keepGitDir = flag("keep-git-dir");
  const submodules = flag("submodules");
  return {
    ref,
    subdir: agreed("subdir", fragmentSubdir, one("subdir")),
    checksum: one("checksum") ?? one("commit") ?? "",
    fetchByCommit: flag("fetch-by-commit") ?? false,
    ...(keepGitDir === undefined ? {} : { keepGitDir }),
    ...(submodules === undefined ? {} : { submodules }),
    ...(mtime === undefined ? {} : { mtime }),
  };
}

function agreed(what: string, first: string, second: string | undefined): string {
  if (second === undefined) return first;
  if (first !== "" && first !== second) {
    throw bad(`${what} conflicts: ${JSON.stringify(first)} vs ${JSON.stringify(second)}`);
  }
  return second;
}

function qualified(name: string | undefined, prefix: string): string | undefined {
  return name === undefined || name.startsWith(prefix) ? name : prefix + name;
}

function bad(message: string): BuildError {
  return new BuildError(Code.Unknown, message);
}
