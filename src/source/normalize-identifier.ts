import { formatImageSpec, parseImageSpec } from "../core/values/image-reference.ts";
import { gitSourceName, parseGitIdentifier } from "./git/git-identifier.ts";
import { parseImageIdentifier } from "./image/image-identifier.ts";
import { type SourceRequest, splitIdentifier } from "./source-identifier.ts";

/**
 * The one spelling of a source's identifier: what its attributes say about where it is comes first, so that a policy cannot be
 * got around by another spelling. One that cannot be parsed stays as it is (BuildKit solver/llbsolver/policy.go).
 */
export function normalizeIdentifier(source: SourceRequest): string {
  try {
    const { scheme, ref } = splitIdentifier(source.identifier);
    switch (scheme) {
      case "docker-image":
      case "oci-layout":
        return `${scheme}://${parseImageIdentifier(source).name}`;
      case "docker-image+blob":
      case "oci-layout+blob":
        return `${scheme}://${formatImageSpec(parseImageSpec(ref))}`;
      case "git":
        return gitSourceName(parseGitIdentifier(source));
      default:
        return source.identifier;
    }
  } catch {
    return source.identifier;
  }
}
