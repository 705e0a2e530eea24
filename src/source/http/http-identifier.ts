import { type Digest, sha256 } from "../../core/values/digest.ts";
import { goJson } from "../../util/go-json.ts";
import { type FileAttributes, parseFileAttributes, safeFileName } from "../file-attributes.ts";
import { parseGoDigest } from "../go-text.ts";
import { type SourceRequest, sourceError } from "../source-identifier.ts";

/** A parsed `http://` or `https://` source (map c14). */
export interface HttpIdentifier extends FileAttributes {
  readonly url: string;
  readonly checksum?: Digest;
  /** Name of the secret to send as Authorization, or empty for the default names. */
  readonly authHeaderSecret: string;
  /** OpenPGP keys and the signature that the file must have, both armored. */
  readonly signature?: { readonly publicKey: string; readonly signature: string };
  /** Canonical names, sorted. */
  readonly headers: readonly { readonly Name: string; readonly Value: string }[];
}

/** Other user-given headers are dropped without a word, as in BuildKit. */
const allowedHeaders: Readonly<Record<string, string>> = { accept: "Accept", "user-agent": "User-Agent" };
const headerPrefix = "http.header.";

export function parseHttpIdentifier(source: SourceRequest): HttpIdentifier {
  const { attrs } = source;
  const headers = Object.entries(attrs)
    .filter(([name]) => name.startsWith(headerPrefix))
    .map(([name, Value]) => ({ Name: allowedHeaders[name.slice(headerPrefix.length).toLowerCase()] ?? "", Value }))
    .filter(({ Name }) => Name !== "")
    .sort((a, b) => (a.Name < b.Name ? -1 : 1));
  const publicKey = attrs["http.sig.pubkey"] ?? "";
  const signature = attrs["http.sig.signature"] ?? "";
  if ((publicKey === "") !== (signature === "")) {
    throw sourceError("http signature verification requires both pubkey and signature");
  }
  const checksum = attrs["http.checksum"];
  return {
    ...parseFileAttributes(attrs),
    url: source.identifier,
    authHeaderSecret: attrs["http.authheadersecret"] ?? "",
    headers,
    ...(signature === "" ? {} : { signature: { publicKey, signature } }),
    ...(checksum === undefined ? {} : { checksum: parseGoDigest(checksum) }),
  };
}

/** The `k` of an http source (map d16, byte-exact). */
export function httpCacheKey(id: HttpIdentifier, filename: string, checksum: Digest, lastModified: string): Digest {
  return sha256(
    goJson({
      Filename: filename,
      Perm: id.perm,
      UID: id.uid,
      GID: id.gid,
      Checksum: checksum,
      LastModTime: lastModified || undefined,
      AuthHeaderSecret: id.authHeaderSecret || undefined,
      Header: id.headers.length === 0 ? undefined : id.headers,
    }),
  );
}

/** Names what an answer to this request may be remembered by; never leaves the agent. */
export function requestKey(id: HttpIdentifier): string {
  return sha256(goJson([id.url, id.filename, id.authHeaderSecret, id.headers])).slice("sha256:".length);
}

/** The file's name: as asked for, else from Content-Disposition, else the end of the URL's path, else `download`. */
export function httpFilename(id: HttpIdentifier, disposition: string | undefined): string {
  if (id.filename !== "") return safeFileName(id.filename);
  const served = disposition === undefined ? "" : dispositionFilename(disposition);
  if (served !== "" && !served.endsWith("/")) return safeFileName(served);
  if (!URL.canParse(id.url)) return safeFileName("");
  const { pathname } = new URL(id.url);
  try {
    return safeFileName(decodeURIComponent(pathname));
  } catch {
    return safeFileName(pathname);
  }
}

/** RFC 6266, `filename*` (RFC 8187) before `filename`. */
function dispositionFilename(header: string): string {
  const extended = /;\s*filename\*\s*=\s*utf-8'[^']*'([^;\s]+)/i.exec(header)?.[1];
  if (extended !== undefined) {
    try {
      return decodeURIComponent(extended);
    } catch {
      return "";
    }
  }
  const match = /;\s*filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))/i.exec(header);
  return match?.[1]?.replace(/\\(.)/g, "$1") ?? match?.[2] ?? "";
}

/** An HTTP date in its one normal form, or empty when the header holds none. */
export function normalizeHttpDate(header: string | undefined): string {
  if (header === undefined || !/^[A-Za-z]{3}/.test(header)) return "";
  const time = Date.parse(header);
  return Number.isNaN(time) ? "" : new Date(time).toUTCString();
}
