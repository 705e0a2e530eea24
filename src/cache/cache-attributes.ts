import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import { parseBool, parseCompression } from "../core/values/export-attributes.ts";
import type { Compression } from "../core/values/task.ts";
import type { CacheManifestForm } from "./cache-manifest.ts";

/** What all cache exporters that write blobs have in common (map g4). */
export interface CacheWriteOptions {
  readonly form: CacheManifestForm;
  readonly compression: Compression;
}

/** @throws BuildError InvalidArgument */
export function parseCacheWriteOptions(attrs: Readonly<Record<string, string>>): CacheWriteOptions {
  const oci = parseCacheFlag(attrs, "oci-mediatypes", true);
  const imageManifest = parseCacheFlag(attrs, "image-manifest", oci);
  if (imageManifest && !oci) {
    throw new BuildError(
      Code.InvalidArgument,
      "invalid configuration for remote cache, OCI mediatypes are required for image-manifest cache format",
    );
  }
  return {
    form: imageManifest ? "image-manifest" : oci ? "oci-index" : "docker-index",
    compression: { ...parseCompression(attrs), ociMediaTypes: true },
  };
}

/** @throws BuildError InvalidArgument `failed to parse oci-mediatypes: …` */
export function parseCacheFlag(attrs: Readonly<Record<string, string>>, key: string, absent: boolean): boolean {
  const value = attrs[key];
  if (value === undefined) return absent;
  try {
    return parseBool(key, value);
  } catch (cause) {
    const reason = BuildError.from(cause).message.replace(/^[^:]*: /, "");
    throw new BuildError(Code.InvalidArgument, `failed to parse ${key}: ${reason}`, { cause });
  }
}
