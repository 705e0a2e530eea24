import { type SourceRequest, sourceError, splitIdentifier } from "../source-identifier.ts";
import { type GitBundle, parseBundleLocator } from "./git-bundle-locator.ts";
import type { GitSignatureOptions } from "./git-signature.ts";
import { hostAndPath, isCommitSha, isGitTransport, parseGitUrl } from "./git-url.ts";

/** A parsed `git://` source (map c13). */
export interface GitIdentifier {
  readonly remote: string;
  /** As given; empty = default branch. */
  readonly ref: string;
  readonly subdir: string;
  /** Prefix of the commit that must be found, or empty. */
  readonly checksum: string;
  readonly keepGitDir: boolean;
  readonly skipSubmodules: boolean;
  readonly fetchByCommit: boolean;
  /** `commit` sets every time to the commit's; anything else leaves checkout times. */
  readonly mtime: string;
  readonly authHeaderSecret: string;
  readonly authTokenSecret: string;
  /** Id of the SSH agent to use, or empty. */
  readonly sshId: string;
  readonly knownHosts: string;
  /** Read in place of the remote; its commit is the checksum. */
  readonly bundle?: GitBundle;
  /** The result is a bundle, in place of the files. */
  readonly checkoutBundle: boolean;
  /** What must have been signed; absent when nothing must. */
  readonly signature?: GitSignatureOptions;
}

/** @throws BuildError `invalid git ref "-x"`, … */
export function parseGitIdentifier(source: SourceRequest): GitIdentifier {
  const { ref: text } = splitIdentifier(source.identifier);
  const url = parseGitUrl(text);
  const { attrs } = source;
  const flag = (name: string) => attrs[name] === "true";
  const full = attrs["git.fullurl"];
  const id: GitIdentifier = {
    remote: full === undefined ? url.remote : isGitTransport(full) ? full : `https://${full}`,
    ref: url.ref,
    subdir: url.subdir,
    checksum: attrs["git.checksum"] ?? "",
    keepGitDir: flag("git.keepgitdir"),
    skipSubmodules: flag("git.skipsubmodules"),
    fetchByCommit: flag("git.fetchbycommit"),
    mtime: attrs["git.mtime"] ?? "",
    authHeaderSecret: attrs["git.authheadersecret"] ?? "",
    authTokenSecret: attrs["git.authtokensecret"] ?? "",
    sshId: attrs["git.mountsshsock"] ?? "",
    knownHosts: attrs["git.knownsshhosts"] ?? "",
    checkoutBundle: flag("git.checkoutbundle"),
    ...(attrs["git.bundle"] ? { bundle: parseBundleLocator(attrs["git.bundle"], attrs) } : {}),
    ...signature(attrs),
  };
  if (id.ref.startsWith("-")) throw sourceError(`invalid git ref ${JSON.stringify(id.ref)}`);
  checkBundle(id);
  return id;
}

function checkBundle(id: GitIdentifier): void {
  if (id.bundle !== undefined) {
    if (id.checksum === "") throw sourceError("git.bundle requires git.checksum to be set");
    if (isCommitSha(id.ref) && !id.ref.startsWith(id.checksum)) {
      throw sourceError(`expected checksum to match ${id.checksum}, got ${id.ref}`);
    }
  }
  if (!id.checkoutBundle) return;
  if (id.keepGitDir) throw sourceError("git.checkoutbundle is incompatible with git.keepgitdir");
  if (id.subdir !== "") throw sourceError("git.checkoutbundle is incompatible with git.subdir");
}

function signature(attrs: SourceRequest["attrs"]): Pick<GitIdentifier, "signature"> {
  if (!Object.keys(attrs).some((name) => name.startsWith("git.sig."))) return {};
  return {
    signature: {
      publicKey: attrs["git.sig.pubkey"] ?? "",
      rejectExpired: attrs["git.sig.rejectexpired"] === "true",
      requireSignedTag: attrs["git.sig.requiresignedtag"] === "true",
      ignoreSignedTag: attrs["git.sig.ignoresignedtag"] === "true",
    },
  };
}

/** `git://host/path#ref:subdir`, whatever way the remote is reached. */
export function gitSourceName({ remote, ref, subdir }: GitIdentifier): string {
  const fragment = subdir === "" ? ref : `${ref}:${subdir}`;
  return `git://${hostAndPath(remote) ?? remote}${fragment === "" ? "" : `#${fragment}`}`;
}

/** Names git object hashes are compared with. @throws BuildError when not hexadecimal */
export function checkChecksumForm(id: GitIdentifier): void {
  if (id.checksum === "" || /^[a-fA-F0-9]+$/.test(id.checksum)) return;
  throw sourceError(`invalid checksum ${id.checksum} for Git URL, expected hex commit hash`);
}

/** The `k` of a git source (map d16, byte-exact). `usedRef` enters only with a kept .git directory. */
export function gitCacheKey(id: GitIdentifier, sha: string, usedRef: string): string {
  let key = sha;
  if (id.keepGitDir) key += usedRef === "" ? ".git" : `.git#${usedRef}`;
  if (id.subdir !== "") key += `:${id.subdir}`;
  if (id.skipSubmodules) key += "(skip-submodules)";
  if (id.mtime !== "" && id.mtime !== "checkout") key += `(mtime=${id.mtime})`;
  if (id.checkoutBundle) key += "(bundle)";
  return key;
}

/** The commit to ask the remote for by name, or empty when the ref is asked for. */
export function pinnedCommit(id: GitIdentifier): string {
  return id.fetchByCommit && isCommitSha(id.checksum) ? id.checksum : "";
}
