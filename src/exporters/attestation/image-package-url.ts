import { BuildError } from "../../core/errors/build-error.ts";
import { familiarName, parseNamedReference, withDefaultTag } from "../../core/values/image-reference.ts";
import { formatPlatform, normalizePlatform, type Platform } from "../../core/values/platform.ts";

/** `docker`: in a registry; `oci`: in a layout of the client. */
export type ImagePackageType = "docker" | "oci";

/**
 * An image as package URL: `pkg:docker/alpine@3.20?platform=linux%2Famd64` (BuildKit util/purl/image.go).
 * @param more further qualifiers, after those of the image
 * @throws BuildError `failed to parse ref "…": …`
 */
export function imagePackageUrl(
  type: ImagePackageType,
  reference: string,
  platform: Platform | undefined,
  more: Readonly<Record<string, string>> = {},
): string {
  const { digest, ...name } = withDefaultTag(parse(reference));
  const tag = name.tag;
  const path = familiarName({ domain: name.domain, path: name.path }).split("/");
  const qualifiers = {
    ...(digest === undefined ? {} : { digest }),
    ...(platform === undefined ? {} : { platform: formatPlatform(normalizePlatform(platform)) }),
    ...more,
  };
  const query = Object.entries(qualifiers)
    .map(([key, value]) => `${key}=${pathEscape(value)}`)
    .join("&");
  const version = tag === undefined ? "" : `@${pathEscape(tag)}`;
  return `pkg:${type}/${path.map(encodeURIComponent).join("/")}${version}${query === "" ? "" : `?${query}`}`;
}

function parse(reference: string) {
  try {
    return parseNamedReference(reference);
  } catch (error) {
    throw BuildError.from(error).wrap(`failed to parse ref ${JSON.stringify(reference)}`);
  }
}

/** Go's url.PathEscape leaves more as it is than encodeURIComponent. */
function pathEscape(text: string): string {
  return encodeURIComponent(text).replace(/%(?:24|26|2B|3A|3D|40)/g, decodeURIComponent);
}
