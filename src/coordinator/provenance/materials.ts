import type { Digest } from "../../core/values/digest.ts";
import { digestSet, imagePackageUrl } from "../../exporters/index.ts";
import type { Capture, GitMaterial } from "./capture.ts";

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
    ...capture.git.flatMap(gitMaterials),
    ...capture.http.map(({ url, digest }: { url: string; digest: Digest }) => ({
      uri: url,
      digest: digestSet([digest]),
    })),
  ];
}

/** The repository, and the bundle that was read in its place. */
function gitMaterials({ url, commit, bundle }: GitMaterial): readonly Material[] {
  const repository = { uri: url, digest: commitDigest(commit) };
  const [, scheme = "", reference = "", algorithm = "", hex = ""] =
    /^([^:]+):\/\/(.+)@([^@:]+):([^@:]+)$/.exec(bundle ?? "") ?? [];
  if (scheme === "") return [repository];
  const type = scheme === "oci-layout+blob" ? "oci" : "docker";
  const uri = imagePackageUrl(type, reference, undefined, { ref_type: "bundle", vcs_url: url });
  return [repository, { uri, digest: { [algorithm]: hex } }];
}

/** Hash of a git object under the name of its algorithm. */
export function commitDigest(commit: string): Material["digest"] {
  return { [commit.length === 64 ? "sha256" : "sha1"]: commit };
}
