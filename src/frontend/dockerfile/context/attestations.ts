import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import { formatReference, parseReference, withDefaultTag } from "../../../llb/builder/index.ts";
import { csvFields } from "../instructions/csv-fields.ts";

/** A scanner image and what it is told. */
export interface SbomConfig {
  /** Normalized image reference. */
  readonly generator: string;
  readonly parameters: ReadonlyMap<string, string>;
}

const defaultGenerator = "docker/buildkit-syft-scanner:stable-1";

/**
 * The SBOM that `attest:sbom` or the build arg BUILDKIT_ATTEST_SBOM asks for; undefined without. Provenance is made
 * elsewhere, its attribute is only checked for form.
 *
 * @throws BuildError for other attestations
 */
export function parseSbomConfig(opts: Readonly<Record<string, string>>): SbomConfig | undefined {
  let sbom: SbomConfig | undefined;
  for (const [key, value] of Object.entries(opts)) {
    const kind = /^(?:attest:|build-arg:BUILDKIT_ATTEST_)(.*)$/s.exec(key)?.[1]?.toLowerCase();
    if (kind === undefined) continue;
    if (kind !== "sbom" && kind !== "provenance") {
      throw new BuildError(Code.Unknown, `unknown attestation type ${JSON.stringify(kind)}`);
    }
    const attributes = parseAttributes(kind, value);
    if (kind === "sbom") sbom = sbomOf(attributes);
  }
  return sbom;
}

function parseAttributes(kind: string, value: string): Map<string, string> {
  const attributes = new Map<string, string>();
  if (value === "") return attributes;
  let fields: readonly string[];
  try {
    fields = csvFields(value);
  } catch (error) {
    throw BuildError.from(error).wrap(`failed to parse ${kind}`);
  }
  for (const field of fields) {
    const equals = field.indexOf("=");
    if (equals < 0) attributes.set(field, "");
    else attributes.set(field.slice(0, equals), field.slice(equals + 1));
  }
  return attributes;
}

function sbomOf(attributes: Map<string, string>): SbomConfig {
  const generator = attributes.get("generator") ?? defaultGenerator;
  attributes.delete("generator");
  try {
    return { generator: formatReference(withDefaultTag(parseReference(generator))), parameters: attributes };
  } catch (error) {
    throw BuildError.from(error).wrap(`failed to parse sbom scanner ${generator}`);
  }
}
