import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { parseDigest } from "../../core/values/digest.ts";

/** A normalized image reference (distribution/reference): `docker.io/library/alpine:3.20@sha256:…`. */
export interface ImageReference {
  /** With port, e.g. `localhost:5000`. */
  readonly domain: string;
  /** e.g. `library/alpine`. */
  readonly path: string;
  readonly tag?: string;
  readonly digest?: string;
}

const component = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
const domainPart = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
const domain = `(?:${domainPart}(?:\\.${domainPart})*|\\[(?:[a-fA-F0-9:]+)\\])(?::[0-9]+)?`;
const reference = new RegExp(
  `^((?:${domain}/)?${component}(?:/${component})*)(?::(\\w[\\w.-]{0,127}))?(?:@([A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?$`,
);

/** @throws BuildError `invalid reference format …` */
export function parseReference(text: string): ImageReference {
  if (/^[a-f0-9]{64}$/.test(text)) {
    throw invalid(`invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`);
  }
  const { domain: host, remainder } = splitDomain(text);
  const name = remainder.split(":", 1)[0] ?? "";
  if (name !== name.toLowerCase()) {
    throw invalid(`invalid reference format: repository name (${name}) must be lowercase`);
  }
  const match = reference.exec(`${host}/${remainder}`);
  if (match === null) throw invalid("invalid reference format");
  const path = (match[1] ?? "").slice(host.length + 1);
  if (path.length > 255) throw invalid("repository name must not be more than 255 characters");
  return {
    domain: host,
    path,
    ...(match[2] === undefined ? {} : { tag: match[2] }),
    ...(match[3] === undefined ? {} : { digest: checkedDigest(match[3]) }),
  };
}

function checkedDigest(text: string): string {
  try {
    return parseDigest(text);
  } catch {
    throw invalid("invalid reference format");
  }
}

function splitDomain(text: string): { readonly domain: string; readonly remainder: string } {
  const slash = text.indexOf("/");
  const first = text.slice(0, Math.max(slash, 0));
  const named = slash >= 0 && (/[.:]/.test(first) || first === "localhost" || first !== first.toLowerCase());
  let host = named ? first : "docker.io";
  let remainder = named ? text.slice(slash + 1) : text;
  if (host === "index.docker.io") host = "docker.io";
  if (host === "docker.io" && !remainder.includes("/")) remainder = `library/${remainder}`;
  return { domain: host, remainder };
}

function invalid(message: string): BuildError {
  return new BuildError(Code.Unknown, message);
}

export function formatReference(ref: ImageReference): string {
  return `${ref.domain}/${ref.path}${ref.tag === undefined ? "" : `:${ref.tag}`}${ref.digest === undefined ? "" : `@${ref.digest}`}`;
}

/** `:latest` where there is neither tag nor digest. */
export function withDefaultTag(ref: ImageReference): ImageReference {
  return ref.tag === undefined && ref.digest === undefined ? { ...ref, tag: "latest" } : ref;
}

/** Short form: `alpine:3.20`, `user/app`, `ghcr.io/a/b`. */
export function familiarReference(ref: ImageReference): string {
  if (ref.domain !== "docker.io") return formatReference(ref);
  const short = formatReference({ ...ref, path: ref.path.replace(/^library\/(?=[^/]+$)/, "") });
  return short.slice("docker.io/".length);
}
