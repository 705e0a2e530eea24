import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { type Digest, parseDigest, sha256 } from "../../core/values/digest.ts";
import type { Platform } from "../../core/values/platform.ts";
import { always, flag, list, number, object, optional, text, texts } from "./go-json.ts";

const string = always(text, '""');
const integer = always(number, "0");
/** A nil slice without omitempty. */
const strings = always(texts, "null");

/**
 * Cache map digest of a source from its own key `k` (map d15, d16). A key that starts with `session:` holds for one session:
 * its digest is `random:…` and is never stored.
 */
export function sourceCacheDigest(key: string): Digest {
  const digest = sha256(`buildkit.source.v0:${key}`);
  return key.startsWith("session:") ? (digest.replace("sha256:", "random:") as Digest) : digest;
}

interface ImageKey {
  readonly digest: Digest;
  readonly platform: Platform;
  readonly layerLimit?: number | undefined;
}

const imageKey = object<{
  digest: Digest;
  os: string;
  architecture: string;
  variant: string;
  osVersion: string;
  osFeatures: readonly string[];
  limit: number | undefined;
}>(
  ["Digest", "digest", string],
  ["OS", "os", string],
  ["Arch", "architecture", string],
  ["Variant", "variant", text],
  ["OSVersion", "osVersion", text],
  ["OSFeatures", "osFeatures", texts],
  ["Limit", "limit", optional(integer)],
);

/** Key #0 of an image: what the registry said. `digest` is that of the manifest or index the reference resolved to. */
export function imageManifestKey({ digest, platform, layerLimit }: ImageKey): string {
  return sha256(imageKey({ ...platform, digest, limit: layerLimit }));
}

/**
 * Key #1 of an image: the chain of its uncompressed layers. Undefined for an image without layers; its key #1 is key #0.
 * @throws BuildError when the image has fewer layers than the limit
 */
export function imageConfigKey(config: Uint8Array, layerLimit?: number): string | undefined {
  const diffIds = readDiffIds(config);
  if (diffIds === undefined) return sha256(config);
  if (layerLimit !== undefined && diffIds.length < layerLimit) {
    throw new BuildError(Code.Unknown, `image has ${diffIds.length} layers, limit is ${layerLimit}`);
  }
  const [first, ...others] = layerLimit === undefined ? diffIds : diffIds.slice(0, layerLimit);
  return first === undefined ? undefined : others.reduce((chain, diffId) => sha256(`${chain} ${diffId}`), first);
}

/** Empty when the config has no layers; undefined when it is no image config at all. */
function readDiffIds(config: Uint8Array): Digest[] | undefined {
  let image: { readonly rootfs?: { readonly type?: string; readonly diff_ids?: readonly string[] } } | null;
  try {
    image = JSON.parse(new TextDecoder().decode(config));
  } catch {
    return undefined;
  }
  return image?.rootfs?.type === "layers" ? (image.rootfs.diff_ids ?? []).map(parseDigest) : [];
}

export interface HttpKey {
  readonly filename: string;
  readonly perm: number;
  readonly uid: number;
  readonly gid: number;
  readonly checksum: Digest;
  /** As in the header, e.g. `Mon, 02 Jan 2006 15:04:05 GMT`; empty when the server gave none. */
  readonly lastModified: string;
  readonly authHeaderSecret: string;
  readonly header: readonly { readonly name: string; readonly value: string }[];
}

const httpKey = object<HttpKey>(
  ["Filename", "filename", string],
  ["Perm", "perm", integer],
  ["UID", "uid", integer],
  ["GID", "gid", integer],
  ["Checksum", "checksum", string],
  ["LastModTime", "lastModified", text],
  ["AuthHeaderSecret", "authHeaderSecret", text],
  ["Header", "header", list(object<HttpKey["header"][number]>(["Name", "name", string], ["Value", "value", string]))],
);

export function httpSourceKey(key: HttpKey): string {
  return sha256(httpKey(key));
}

export type BlobKey = Pick<HttpKey, "filename" | "perm" | "uid" | "gid"> & { readonly digest: Digest };

const blobKey = object<BlobKey>(
  ["Digest", "digest", string],
  ["Filename", "filename", string],
  ["Perm", "perm", integer],
  ["UID", "uid", integer],
  ["GID", "gid", integer],
);

export function blobSourceKey(key: BlobKey): string {
  return sha256(blobKey(key));
}

export interface GitKey {
  readonly commit: string;
  /** Full name of the ref that was asked for; empty when it was a commit. */
  readonly ref: string;
  readonly keepGitDir: boolean;
  readonly subdir: string;
  readonly skipSubmodules: boolean;
  /** checkout or commit. */
  readonly mtime: string;
}

export function gitSourceKey(key: GitKey): string {
  const gitDir = key.keepGitDir ? `.git${key.ref === "" ? "" : `#${key.ref}`}` : "";
  const subdir = key.subdir === "" ? "" : `:${key.subdir}`;
  const submodules = key.skipSubmodules ? "(skip-submodules)" : "";
  const mtime = key.mtime === "" || key.mtime === "checkout" ? "" : `(mtime=${key.mtime})`;
  return key.commit + gitDir + subdir + submodules + mtime;
}

export interface LocalKey {
  readonly name: string;
  readonly sessionId: string;
  readonly includePatterns: readonly string[];
  readonly excludePatterns: readonly string[];
  readonly followPaths: readonly string[];
  readonly metadataTransfer: boolean;
  readonly metadataExceptions: readonly string[];
}

const localKey = object<LocalKey>(
  ["SessionID", "sessionId", string],
  ["IncludePatterns", "includePatterns", strings],
  ["ExcludePatterns", "excludePatterns", strings],
  ["FollowPaths", "followPaths", strings],
  ["MetadataTransfer", "metadataTransfer", flag],
  ["MetadataExceptions", "metadataExceptions", texts],
);

export function localSourceKey(key: LocalKey): string {
  return `session:${key.name}:${sha256(localKey(key))}`;
}
