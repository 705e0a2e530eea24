import { type Digest, isDigest } from "./digest.ts";

/** OCI content descriptor (image-spec descriptor.md), JSON field names as on the wire. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  /** Bytes of the blob. */
  readonly size: number;
  readonly urls?: readonly string[];
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: OciPlatform;
  readonly artifactType?: string;
}

/** True for what has the fields that every descriptor has. */
export function isDescriptor(value: unknown): value is Descriptor {
  if (typeof value !== "object" || value === null) return false;
  const { mediaType, digest, size } = value as Partial<Descriptor>;
  return typeof mediaType === "string" && typeof digest === "string" && isDigest(digest) && typeof size === "number";
}

/** `platform` object of an OCI index or image config. */
export interface OciPlatform {
  readonly architecture: string;
  readonly os: string;
  readonly variant?: string;
  readonly "os.version"?: string;
  readonly "os.features"?: readonly string[];
}
