import { BuildError } from "../errors/build-error.ts";
import { Code } from "../errors/code.ts";

/**
 * A reference as LLB carries it: already fully qualified, `docker.io/library/alpine:3.20@sha256:…`
 * (containerd pkg/reference). Nothing is normalized; the object may be empty.
 */
export interface ImageSpec {
  /** Host and repository, `docker.io/library/alpine`. */
  readonly locator: string;
  /** `tag`, `tag@digest`, `@digest` or empty. */
  readonly object: string;
}

/** A reference as users type it, normalized: `alpine` → docker.io, library/alpine (distribution/reference). */
export interface NamedReference {
  /** `docker.io`. */
  readonly domain: string;
  /** `library/alpine`. */
  readonly path: string;
  readonly tag?: string;
  readonly digest?: string;
}

/**
 * Splits a qualified reference. Error texts are those of Go's net/url, which the original parser leans on.
 * @throws BuildError Unknown, e.g. `parse "dummy://data:golden": invalid port ":golden" after host`
 */
export function parseImageSpec(text: string): ImageSpec {
  if (text.includes("://")) throw invalid("invalid reference");
  const slash = text.search(/[/?#]/);
  const authority = slash < 0 ? text : text.slice(0, slash);
  const userEnd = authority.lastIndexOf("@");
  const host = authority.slice(userEnd + 1);
  checkHost(text, host);
  if (host === "") throw invalid("hostname required");
  const rest = slash < 0 ? "" : text.slice(slash);
  const path = /^[^?#]*/.exec(rest)?.[0] ?? "";
  const at = path.search(/[:@]/);
  const name = at < 0 ? path : path.slice(0, at);
  const object = at < 0 ? "" : path.slice(path[at] === ":" ? at + 1 : at);
  return { locator: cleanJoin(host, name), object };
}

export function formatImageSpec(spec: ImageSpec): string {
  if (spec.object === "") return spec.locator;
  return spec.object.startsWith("@") ? spec.locator + spec.object : `${spec.locator}:${spec.object}`;
}

/** The digest part, unchecked; empty when there is none. */
export function specDigest(spec: ImageSpec): string {
  const at = spec.object.indexOf("@");
  return at < 0 ? "" : spec.object.slice(at + 1);
}

export function specHost(spec: ImageSpec): string {
  return spec.locator.split("/", 1)[0] ?? "";
}

/** Repository path without the host. */
export function specRepository(spec: ImageSpec): string {
  const slash = spec.locator.indexOf("/");
  return slash < 0 ? spec.locator : spec.locator.slice(slash + 1);
}

function checkHost(text: string, host: string): void {
  const fail = (reason: string) => invalid(`parse ${JSON.stringify(`dummy://${text}`)}: ${reason}`);
  const bad = /[\s"<>\\^`{|}]/.exec(host);
  if (bad !== null) throw fail(`invalid character ${JSON.stringify(bad[0])} in host name`);
  const bracket = host.lastIndexOf("]");
  const colon = host.startsWith("[") ? host.indexOf(":", bracket) : host.lastIndexOf(":");
  if (host.startsWith("[") && bracket < 0) throw fail("missing ']' in host");
  if (colon < 0) return;
  const port = host.slice(colon);
  if (!/^:[0-9]*$/.test(port)) throw fail(`invalid port ${JSON.stringify(port)} after host`);
}

function cleanJoin(host: string, path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") parts.pop();
    else parts.push(part);
  }
  return [host, ...parts].join("/");
}

const component = "[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*";
const domainPart = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
const domain = `(?:${domainPart}(?:\\.${domainPart})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?`;
const referencePattern = new RegExp(
  `^(${domain})/(${component}(?:/${component})*)` +
    "(?::([\\w][\\w.-]{0,127}))?(?:@([A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?$",
);

/**
 * Parses and normalizes what a user typed.
 * @throws BuildError Unknown, as BuildKit: clients print the bare text `invalid reference format`, …
 */
export function parseNamedReference(text: string): NamedReference {
  if (/^[a-f0-9]{64}$/.test(text)) {
    throw badName(`invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`);
  }
  const { domain, remainder } = splitDomain(text);
  const remote = remainder.split(":", 1)[0] ?? "";
  if (remote.toLowerCase() !== remote) {
    throw badName(`invalid reference format: repository name (${remote}) must be lowercase`);
  }
  const match = referencePattern.exec(`${domain}/${remainder}`);
  const path = match?.[2];
  if (match === null || path === undefined) throw badName("invalid reference format");
  if (path.length > 255) throw badName("repository name must not be more than 255 characters");
  return {
    domain: match[1] ?? domain,
    path,
    ...(match[3] === undefined ? {} : { tag: match[3] }),
    ...(match[4] === undefined ? {} : { digest: match[4] }),
  };
}

function splitDomain(text: string): { domain: string; remainder: string } {
  const slash = text.indexOf("/");
  if (slash < 0) return { domain: "docker.io", remainder: `library/${text}` };
  const first = text.slice(0, slash);
  const rest = text.slice(slash + 1);
  const isDomain = first === "localhost" || /[.:]/.test(first) || first.toLowerCase() !== first;
  const domain = !isDomain || first === "index.docker.io" ? "docker.io" : first;
  const remainder = isDomain ? rest : text;
  return { domain, remainder: domain === "docker.io" && !remainder.includes("/") ? `library/${remainder}` : remainder };
}

/** Adds `latest` when there is neither tag nor digest. */
export function withDefaultTag(name: NamedReference): NamedReference {
  return name.tag === undefined && name.digest === undefined ? { ...name, tag: "latest" } : name;
}

/** `docker.io/library/alpine`. */
export function repositoryName(name: NamedReference): string {
  return `${name.domain}/${name.path}`;
}

/** `docker.io/library/alpine:3.20@sha256:…`. */
export function formatNamedReference(name: NamedReference): string {
  const tag = name.tag === undefined ? "" : `:${name.tag}`;
  const digest = name.digest === undefined ? "" : `@${name.digest}`;
  return `${repositoryName(name)}${tag}${digest}`;
}

/** The short form users know: `alpine:3.20`. */
export function familiarName(name: NamedReference): string {
  let base = repositoryName(name);
  if (name.domain === "docker.io") {
    const official = /^library\/([^/]+)$/.exec(name.path);
    base = official?.[1] ?? name.path;
  }
  return `${base}${formatNamedReference(name).slice(repositoryName(name).length)}`;
}

function invalid(message: string): BuildError {
  return new BuildError(Code.Unknown, message);
}

function badName(message: string): BuildError {
  return new BuildError(Code.Unknown, message);
}
