import { type Attestation, AttestationKind, type InTotoSubject, InTotoSubjectKind } from "../../api/gen/gateway.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { EvaluatedAttestation } from "../../core/seams/exporter.ts";
import { sortKeys } from "./json-values.ts";
import type { AttestationReader } from "./read-attestation.ts";

/** An attestation that is one statement, with what it says. */
export interface LooseAttestation {
  readonly attestation: Attestation;
  readonly predicate: unknown;
}

const provenancePrefix = "https://slsa.dev/provenance/";

/**
 * One entry per statement: directories of statements are taken apart, the SBOM of the result itself comes first (map f22;
 * BuildKit exporter/attestation/unbundle.go).
 * @throws BuildError Unknown for statements that a frontend must not make, or that are none
 */
export async function unbundle(
  attestations: readonly EvaluatedAttestation[],
  reader: AttestationReader,
): Promise<readonly LooseAttestation[]> {
  for (const attestation of attestations) check(attestation);
  const loose = await Promise.all(
    attestations.map(async (entry): Promise<readonly LooseAttestation[]> => {
      const { attestation } = entry;
      if (attestation.kind === AttestationKind.Bundle) return unpack(entry, reader);
      if (isProvenance(attestation) && entry.content === undefined) {
        throw new BuildError(Code.Unknown, "frontend may not set provenance attestations");
      }
      return [{ attestation, predicate: await reader.predicate(entry) }];
    }),
  );
  const all = loose.flat();
  return [...all.filter(isCoreSbom), ...all.filter((entry) => !isCoreSbom(entry))];
}

/** For another machine than the one of a container image registry: these are only for images (map f25). */
export function isInlineOnly({ attestation }: EvaluatedAttestation): boolean {
  const value = attestation.metadata["inline-only"];
  return value !== undefined && new TextDecoder().decode(value) === "true";
}

/** The SBOM of the result, not of what it was made from. */
export function isCoreSbom({ attestation }: LooseAttestation): boolean {
  const core = attestation.metadata["sbom-core"];
  const [name] = (attestation.path.split("/").at(-1) ?? "").split(".");
  return core !== undefined && new TextDecoder().decode(core) === name;
}

async function unpack({ attestation, ref }: EvaluatedAttestation, reader: AttestationReader) {
  if (ref === undefined) throw new BuildError(Code.Unknown, "no ref provided for attestation bundle");
  const wanted = attestation.inTotoPredicateType;
  const names = await reader.list(ref, attestation.path);
  return Promise.all(
    names.map(async (name): Promise<LooseAttestation> => {
      const path = [attestation.path, name].filter((part) => part !== "").join("/");
      const { predicateType, subject, predicate } = readStatement(await reader.json(ref, path));
      if (wanted !== "" && predicateType !== wanted) {
        throw new BuildError(
          Code.Unknown,
          `bundle entry ${predicateType} does not match required predicate type ${wanted}`,
        );
      }
      const loose = { ...attestation, kind: AttestationKind.InToto, path, inTotoPredicateType: predicateType };
      if (isProvenance(loose)) {
        throw new BuildError(Code.Unknown, "frontend may not bundle provenance attestations");
      }
      return { attestation: { ...loose, inTotoSubjects: subject }, predicate: sortKeys(predicate) };
    }),
  );
}

function readStatement(value: unknown): {
  readonly predicateType: string;
  readonly subject: InTotoSubject[];
  readonly predicate: unknown;
} {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new BuildError(Code.Unknown, "cannot decode in-toto statement");
  }
  const { predicateType, subject, predicate = null } = value as Record<string, unknown>;
  return {
    predicateType: typeof predicateType === "string" ? predicateType : "",
    subject: Array.isArray(subject) ? subject.map(readSubject) : [],
    predicate,
  };
}

function readSubject(value: unknown): InTotoSubject {
  const { name, digest } = (value ?? {}) as { readonly name?: unknown; readonly digest?: unknown };
  const digests = Object.entries((digest ?? {}) as Record<string, unknown>);
  return {
    kind: InTotoSubjectKind.Raw,
    name: typeof name === "string" ? name : "",
    digest: digests.map(([algorithm, hex]) => `${algorithm}:${String(hex)}`),
  };
}

function check({ attestation, ref, content }: EvaluatedAttestation): void {
  if (attestation.kind !== AttestationKind.Bundle && attestation.path === "") {
    throw new BuildError(Code.Unknown, "attestation does not have set path");
  }
  if (ref === undefined && content === undefined) {
    throw new BuildError(Code.Unknown, "attestation does not have available content");
  }
}

function isProvenance({ inTotoPredicateType }: Attestation): boolean {
  return inTotoPredicateType.startsWith(provenancePrefix);
}
