import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { csvFields, parseSbomConfig, type SbomConfig } from "../../frontend/index.ts";

export type ProvenanceVersion = "v1" | "v0.2";

/** `attest:provenance` (map f25). */
export interface ProvenanceOptions {
  readonly version: ProvenanceVersion;
  readonly mode: "min" | "max";
  readonly builderId: string;
  /** File of the statement where it is written as one. */
  readonly filename: string;
  /** The client's word for it. */
  readonly reproducible: boolean;
  /** Only along with images. */
  readonly inlineOnly: boolean;
  /** Fails when something is not pinned. */
  readonly completeMaterials: boolean;
  /** For people to read, as in records. */
  readonly indented: boolean;
}

/** What the record of a build tells, whatever the client asks for. */
export function recordedProvenance(builderId: string): ProvenanceOptions {
  return {
    version: "v1",
    mode: "max",
    builderId,
    filename: "provenance.json",
    reproducible: false,
    inlineOnly: false,
    completeMaterials: false,
    indented: true,
  };
}

/** What a build's options ask to be attested. */
export interface AttestOptions {
  readonly provenance?: ProvenanceOptions;
  /** For results whose frontend makes none. */
  readonly sbom?: SbomConfig;
}

const keyPattern = /^(?:attest:|build-arg:BUILDKIT_ATTEST_)(.*)$/s;

/**
 * `attest:<type>` options and `BUILDKIT_ATTEST_<type>` build arguments (BuildKit frontend/attestations/parse.go).
 * @throws BuildError Unknown, as BuildKit: clients print the bare text
 */
export function parseAttestOptions(frontendOpt: Readonly<Record<string, string>>): AttestOptions {
  let provenance: ProvenanceOptions | undefined;
  for (const [key, value] of Object.entries(frontendOpt)) {
    const type = keyPattern.exec(key)?.[1]?.toLowerCase();
    if (type === "provenance") provenance = provenanceOptions(parseAttributes(type, value));
  }
  // Refuses other types as well.
  const sbom = parseSbomConfig(frontendOpt);
  return { ...(provenance === undefined ? {} : { provenance }), ...(sbom === undefined ? {} : { sbom }) };
}

function provenanceOptions(attributes: ReadonlyMap<string, string>): ProvenanceOptions {
  const version = attributes.get("version") ?? "v1";
  if (version === "") throw unknown("provenance SLSA version cannot be empty");
  if (version !== "v1" && version !== "v0.2") throw unknown(`invalid provenance SLSA version: ${version}`);
  const mode = attributes.get("mode") ?? "max";
  if (mode !== "min" && mode !== "max" && mode !== "full") throw unknown(`invalid mode ${JSON.stringify(mode)}`);
  return {
    version,
    mode: mode === "full" ? "max" : mode,
    builderId: attributes.get("builder-id") ?? "",
    filename: attributes.get("filename") ?? "provenance.json",
    reproducible: readFlag("reproducible", attributes.get("reproducible")),
    // What is no boolean means no, as in BuildKit.
    inlineOnly: truths.has(attributes.get("inline-only") ?? ""),
    completeMaterials: readFlag("complete-materials", attributes.get("complete-materials")),
    indented: false,
  };
}

const truths = new Set(["1", "t", "T", "TRUE", "true", "True"]);
const lies = new Set(["0", "f", "F", "FALSE", "false", "False"]);

function readFlag(name: string, text: string | undefined): boolean {
  if (text === undefined || lies.has(text)) return false;
  if (truths.has(text)) return true;
  const quoted = JSON.stringify(text);
  throw unknown(`failed to parse ${name} flag ${quoted}: strconv.ParseBool: parsing ${quoted}: invalid syntax`);
}

function parseAttributes(type: string, text: string): ReadonlyMap<string, string> {
  if (text === "") return new Map();
  let fields: readonly string[];
  try {
    fields = csvFields(text);
  } catch (error) {
    throw BuildError.from(error).wrap(`failed to parse ${type}`);
  }
  return new Map(
    fields.map((field) => {
      const equals = field.indexOf("=");
      return equals < 0 ? [field, ""] : [field.slice(0, equals), field.slice(equals + 1)];
    }),
  );
}

function unknown(message: string): BuildError {
  return new BuildError(Code.Unknown, message);
}
