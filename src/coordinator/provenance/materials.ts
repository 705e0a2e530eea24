import type { Digest } from "../../core/values/digest.ts";
import { digestSet, imagePackageUrl } from "../../exporters/index.ts";
import type { Capture } from "./capture.ts";

/** What SLSA calls a material or resolved dependency. */
export interface Material {
  readonly uri: string;
  /** Hex by algorithm. */
  readonly digest: Readonly<Record<string, string>>;
}

/** Everything with an identity that went into a result (map f28; BuildKit solver/llbsolver/provenance/predicate.go). */
export function materialsOf(capture: Capture): readonly Material[] {
  return [
    ...capture.images.map(({ reference, platform, digest, local }) => ({
      uri: imagePackageUrl(local ? "oci" : "docker", reference, platform),
      digest: digestSet([digest]),
    })),
    ...capture.blobs.map(({ reference, digest, local }) => ({
      uri: imagePackageUrl(local ? "oci" : "docker", reference, undefined, { ref_type: "blob" }),
      digest: digestSet([digest]),
    })),
    ...capture.git.map(({ url, commit }) => ({ uri: url, digest: commitDigest(commit) })),
    ...capture.http.map(({ url, digest }: { url: string; digest: Digest }) => ({
      uri: url,
      digest: digestSet([digest]),
    })),
  ];
}

/** Hash of a git object under the name of its algorithm. */
export function commitDigest(commit: string): Material["digest"] {
  return { [commit.length === 64 ? "sha256" : "sha1"]: commit };
}
