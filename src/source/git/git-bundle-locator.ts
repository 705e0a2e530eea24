import { formatImageSpec, parseImageSpec, specDigest } from "../../core/values/image-reference.ts";
import { parseGoDigest } from "../go-text.ts";
import { type SourceRequest, sourceError } from "../source-identifier.ts";

/** A file of commits, kept as a blob, that is read in place of the remote (`git.bundle`). */
export interface GitBundle {
  /** As given. */
  readonly locator: string;
  /** Of the blob, with its digest; for messages. */
  readonly reference: string;
  /** The blob as a source. */
  readonly blob: SourceRequest;
  readonly sha256: string;
}

const schemes = ["docker-image+blob", "oci-layout+blob"];

/**
 * @param attrs of the git source; `oci.session` and `oci.store` are about the blob
 * @throws BuildError unless it is `<scheme>://<reference>@sha256:<hex>`
 */
export function parseBundleLocator(locator: string, attrs: SourceRequest["attrs"]): GitBundle {
  const fail = (reason: string) =>
    sourceError(`failed to parse git.bundle locator ${JSON.stringify(locator)}: ${reason}`);
  const [, scheme = "", body = ""] = /^(.*?):\/\/(.*)$/s.exec(locator) ?? [];
  if (scheme === "") throw fail("missing scheme");
  if (!schemes.includes(scheme)) {
    const expected = schemes.map((name) => JSON.stringify(name)).join(" or ");
    throw sourceError(`git.bundle locator scheme ${JSON.stringify(scheme)} is not supported; expected ${expected}`);
  }
  let spec: ReturnType<typeof parseImageSpec>;
  let digest: string;
  try {
    spec = parseImageSpec(body);
  } catch (error) {
    throw fail((error as Error).message);
  }
  try {
    digest = parseGoDigest(specDigest(spec));
  } catch (error) {
    throw fail(`invalid digest: ${(error as Error).message}`);
  }
  const [algorithm = "", sha256 = ""] = digest.split(":");
  if (algorithm !== "sha256") {
    const names = `${JSON.stringify(algorithm)} not supported, expected "sha256"`;
    throw sourceError(`git.bundle locator ${JSON.stringify(locator)}: digest algorithm ${names}`);
  }
  const store = { "oci.session": attrs["oci.session"] ?? "", "oci.store": attrs["oci.store"] || spec.locator };
  const reference = formatImageSpec(spec);
  const blob = {
    identifier: `${scheme}://${reference}`,
    attrs: scheme === "oci-layout+blob" ? store : {},
  };
  return { locator, reference, blob, sha256 };
}
