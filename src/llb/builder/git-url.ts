import { joinPath } from "./go-path.ts";

/** A git remote with what BuildKit's URL forms add to it (BuildKit util/gitutil/git_url.go). */
export interface GitUrl {
  readonly scheme: "http" | "https" | "ssh" | "git";
  readonly host: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** From the fragment `#ref:subdir`. */
  readonly ref: string;
  readonly subdir: string;
  /** Without query and fragment: what git is called with. */
  readonly remote: string;
}

export type GitUrlResult =
  | { readonly kind: "url"; readonly url: GitUrl }
  | { readonly kind: "unknown-protocol" }
  | { readonly kind: "invalid"; readonly message: string };

const schemes = new Set(["http", "https", "ssh", "git"]);
const withScheme = /^([a-zA-Z0-9]+):\/\/([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/s;
const scpStyle = /^([a-zA-Z0-9-_]+)@([a-zA-Z0-9-.]+):(.*?)(?:\?(.*?))?(?:#(.*))?$/;

export function parseGitUrl(text: string): GitUrlResult {
  const url = withScheme.exec(text);
  if (url !== null) {
    const [, rawScheme = "", authority = "", path = "", query, fragment] = url;
    const scheme = rawScheme.toLowerCase();
    if (!schemes.has(scheme)) return { kind: "invalid", message: `${scheme}: invalid protocol` };
    const host = authority.slice(authority.lastIndexOf("@") + 1);
    return {
      kind: "url",
      url: {
        scheme: scheme as GitUrl["scheme"],
        host,
        path: decode(path),
        query: new URLSearchParams(query ?? ""),
        ...fragmentParts(decode(fragment ?? "")),
        remote: `${scheme}://${authority}${path}`,
      },
    };
  }
  const scp = scpStyle.exec(text);
  if (scp === null) return { kind: "unknown-protocol" };
  const [, user = "", host = "", path = "", query, fragment] = scp;
  return {
    kind: "url",
    url: {
      scheme: "ssh",
      host,
      path,
      query: new URLSearchParams(query ?? ""),
      ...fragmentParts(fragment ?? ""),
      remote: `${user}@${host}:${path}`,
    },
  };
}

function fragmentParts(fragment: string): { readonly ref: string; readonly subdir: string } {
  const colon = fragment.indexOf(":");
  if (colon < 0) return { ref: fragment, subdir: "" };
  return { ref: fragment.slice(0, colon), subdir: joinPath("/", fragment.slice(colon + 1)).slice(1) };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
