import { goJson } from "../../util/go-json.ts";
import { type GitUrl, parseGitUrl } from "./git-url.ts";
import { joinPath } from "./go-path.ts";
import { formatReference, parseReference, withDefaultTag } from "./image-reference.ts";
import { SourceVertex } from "./source-vertex.ts";
import { State } from "./state.ts";
import type { VertexOptions } from "./vertex-options.ts";

export interface ImageOptions extends VertexOptions {
  readonly resolveMode?: ResolveMode;
  /** regular | internal | frontend */
  readonly recordType?: string;
  readonly layerLimit?: number;
  readonly checksum?: string;
}

export type ResolveMode = "default" | "pull" | "local";

/** An image of a registry. @throws BuildError when the reference is malformed */
export function image(reference: string, options: ImageOptions = {}): State {
  const attrs: Record<string, string> = {};
  const caps = ["source.image"];
  if (options.resolveMode !== undefined && options.resolveMode !== "default") {
    attrs["image.resolvemode"] = options.resolveMode;
    if (options.resolveMode === "pull") caps.push("source.image.resolvemode");
  }
  if (options.recordType) attrs["image.recordtype"] = options.recordType;
  if (options.layerLimit !== undefined) {
    attrs["image.layerlimit"] = String(options.layerLimit);
    caps.push("source.image.layerlimit");
  }
  if (options.checksum) {
    attrs["image.checksum"] = options.checksum;
    caps.push("source.image.checksum");
  }
  const name = formatReference(withDefaultTag(parseReference(reference)));
  return State.of(new SourceVertex(`docker-image://${name}`, attrs, options, caps));
}

export interface OciLayoutOptions extends VertexOptions {
  readonly sessionId?: string;
  readonly storeId?: string;
  readonly layerLimit?: number;
}

/** An image of an OCI layout on the client. */
export function ociLayout(reference: string, options: OciLayoutOptions = {}): State {
  const attrs: Record<string, string> = {};
  if (options.sessionId) attrs["oci.session"] = options.sessionId;
  if (options.storeId) attrs["oci.store"] = options.storeId;
  if (options.layerLimit !== undefined) attrs["oci.layerlimit"] = String(options.layerLimit);
  return State.of(new SourceVertex(`oci-layout://${reference}`, attrs, options, ["source.ocilayout"]));
}

export interface LocalOptions extends VertexOptions {
  readonly sessionId?: string;
  readonly includePatterns?: readonly string[];
  readonly excludePatterns?: readonly string[];
  /** Only these paths, and what they link to. */
  readonly followPaths?: readonly string[];
  readonly sharedKeyHint?: string;
  readonly differ?: "none" | "metadata";
}

/** A directory of the client. */
export function local(name: string, options: LocalOptions = {}): State {
  const attrs: Record<string, string> = {};
  const caps = ["source.local"];
  const set = (attr: string, value: string, cap: string) => {
    if (value === "") return;
    attrs[attr] = value;
    caps.push(cap);
  };
  set("local.session", options.sessionId ?? "", "source.local.sessionid");
  set("local.includepattern", jsonList(options.includePatterns), "source.local.includepatterns");
  set("local.followpaths", jsonList(options.followPaths), "source.local.followpaths");
  set("local.excludepatterns", jsonList(options.excludePatterns), "source.local.excludepatterns");
  set("local.sharedkeyhint", options.sharedKeyHint ?? "", "source.local.sharedkeyhint");
  if (options.differ !== undefined) attrs["local.differ"] = options.differ;
  return State.of(new SourceVertex(`local://${name}`, attrs, options, caps));
}

export interface HttpOptions extends VertexOptions {
  readonly checksum?: string | undefined;
  readonly filename?: string;
  /** Permission bits; 0600 on the worker when absent. */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly authHeaderSecret?: string;
}

/** One file by URL. */
export function http(url: string, options: HttpOptions = {}): State {
  const attrs: Record<string, string> = {};
  const caps = ["source.http"];
  const set = (attr: string, value: string | undefined, cap?: string) => {
    if (!value) return;
    attrs[attr] = value;
    if (cap !== undefined) caps.push(cap);
  };
  set("http.checksum", options.checksum, "source.http.checksum");
  set("http.filename", options.filename);
  set("http.perm", options.mode ? `0${options.mode.toString(8)}` : "", "source.http.perm");
  // The misspelling is the capability's name.
  set("http.uid", options.uid ? String(options.uid) : "", "soruce.http.uidgid");
  set("http.gid", options.gid ? String(options.gid) : "", "soruce.http.uidgid");
  set("http.authheadersecret", options.authHeaderSecret, "source.http.auth");
  return State.of(new SourceVertex(url, attrs, options, caps));
}

export interface GitOptions extends VertexOptions {
  readonly ref?: string;
  readonly subdir?: string;
  readonly checksum?: string;
  readonly keepGitDir?: boolean;
  readonly skipSubmodules?: boolean;
  readonly mtime?: string;
  readonly fetchByCommit?: boolean;
  readonly knownSshHosts?: string;
  /** SSH agent id for `ssh` remotes. */
  readonly mountSshSock?: string;
}

/** A checkout. The identifier is the same for all protocols of one repository. */
export function git(remote: string, options: GitOptions = {}): State {
  const parsed = parseRemote(remote);
  const fullUrl = parsed.url?.remote ?? parsed.text;
  let id = parsed.text;
  if (parsed.url !== undefined) {
    id = parsed.url.host + joinPath("/", parsed.url.path);
    if (options.ref || options.subdir) id += `#${options.ref ?? ""}${options.subdir ? `:${options.subdir}` : ""}`;
  }
  const attrs: Record<string, string> = {};
  const caps = ["source.git"];
  const set = (attr: string, value: string | undefined, cap?: string) => {
    if (!value) return;
    attrs[attr] = value;
    if (cap !== undefined) caps.push(cap);
  };
  set("git.keepgitdir", options.keepGitDir ? "true" : "", "source.git.keepgitdir");
  set("git.fullurl", fullUrl, "source.git.fullurl");
  set("git.authtokensecret", "GIT_AUTH_TOKEN");
  set("git.authheadersecret", "GIT_AUTH_HEADER");
  if (parsed.url?.scheme === "ssh") {
    set("git.knownsshhosts", options.knownSshHosts);
    caps.push("source.git.knownsshhosts");
    set("git.mountsshsock", options.mountSshSock || "default", "source.git.mountsshsock");
  }
  set("git.checksum", options.checksum, "source.git.checksum");
  set("git.skipsubmodules", options.skipSubmodules ? "true" : "", "source.git.skipsubmodules");
  set("git.mtime", options.mtime, "source.git.mtime");
  set("git.fetchbycommit", options.fetchByCommit ? "true" : "", "source.git.fetchbycommit");
  return State.of(new SourceVertex(`git://${id}`, attrs, options, caps));
}

/** A remote without protocol is https. What does not parse is left to fail when it is fetched. */
function parseRemote(remote: string): { readonly text: string; readonly url?: GitUrl } {
  const first = parseGitUrl(remote);
  if (first.kind === "url") return { text: remote, url: first.url };
  if (first.kind !== "unknown-protocol") return { text: remote };
  const text = `https://${remote}`;
  const second = parseGitUrl(text);
  return second.kind === "url" ? { text, url: second.url } : { text };
}

/** JSON with Go's escapes, since the text is part of the digest. */
function jsonList(values: readonly string[] | undefined): string {
  if (values === undefined || values.length === 0) return "";
  return goJson(values);
}
