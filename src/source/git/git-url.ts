import { posix } from "node:path";
import { sourceError } from "../source-identifier.ts";

/** A git remote with what BuildKit packs into the fragment: `https://host/repo.git#ref:subdir` (util/gitutil). */
export interface GitUrl {
  /** Without fragment and query; what git is given. */
  readonly remote: string;
  readonly ref: string;
  /** Relative, cleaned; empty for the root. */
  readonly subdir: string;
}

const protocol = /^[a-zA-Z0-9]+:\/\//;
const scpStyle = /^[a-zA-Z0-9-_]+@[a-zA-Z0-9-.]+:.*$/;
const supported = new Set(["http", "https", "ssh", "git"]);

/** True for URLs of a scheme git is used with, and for `user@host:path`. */
export function isGitTransport(remote: string): boolean {
  const match = protocol.exec(remote);
  if (match !== null) return supported.has(match[0].slice(0, -3).toLowerCase());
  return scpStyle.test(remote);
}

/** Parses; text without a transport is taken as https. @throws BuildError */
export function parseGitUrl(text: string): GitUrl {
  const remote = isGitTransport(text) ? text : `https://${text}`;
  const hash = remote.indexOf("#");
  const base = hash < 0 ? remote : remote.slice(0, hash);
  const fragment = hash < 0 ? "" : decodeFragment(remote.slice(hash + 1));
  const colon = fragment.indexOf(":");
  const subdir = colon < 0 ? "" : fragment.slice(colon + 1);
  return {
    remote: base.replace(/\?.*$/, ""),
    ref: colon < 0 ? fragment : fragment.slice(0, colon),
    subdir: posix.join("/", subdir).replace(/^\/+|\/+$/g, ""),
  };
}

/** `host[:port]/path` of a remote, without user; undefined when it is none. */
export function hostAndPath(remote: string): string | undefined {
  const match = protocol.test(remote)
    ? /^[^:]+:\/\/(?<authority>[^/?#]*)(?<path>[^?#]*)/.exec(remote)
    : /^[^@]+@(?<authority>[^:]+):(?<path>[^?#]*)/.exec(remote);
  const { authority = "", path = "" } = match?.groups ?? {};
  if (match === null || !isGitTransport(remote)) return undefined;
  try {
    const host = authority.slice(authority.lastIndexOf("@") + 1);
    const cleaned = posix.join("/", protocol.test(remote) ? decodeURIComponent(path) : path);
    // Unlike Go's, this join keeps a slash at the end.
    return host + (cleaned.length > 1 ? cleaned.replace(/\/$/, "") : cleaned);
  } catch {
    return undefined;
  }
}

function decodeFragment(fragment: string): string {
  try {
    return decodeURIComponent(fragment);
  } catch {
    throw sourceError(`invalid URL escape in ${JSON.stringify(fragment)}`);
  }
}

/** Hides user and password, for messages and names. */
export function redactCredentials(remote: string): string {
  if (!protocol.test(remote) || !URL.canParse(remote)) return remote;
  const url = new URL(remote);
  if (url.username === "" && url.password === "") return remote;
  if (url.username !== "") url.username = "xxxxx";
  if (url.password !== "") url.password = "xxxxx";
  return url.toString();
}

/** Full object names: 40 (sha1) or 64 (sha256) lower-case hex digits. */
export function isCommitSha(text: string): boolean {
  return /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(text);
}
