import { type Attestation, InTotoSubjectKind } from "../../api/gen/gateway.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";

/** What a statement is about. */
export interface StatementSubject {
  readonly name: string;
  /** Hex by algorithm. */
  readonly digest: Readonly<Record<string, string>>;
}

/** In-toto Statement v1; fields in Go's order. */
export interface InTotoStatement {
  readonly _type: typeof statementType;
  readonly predicateType: string;
  readonly subject: readonly StatementSubject[];
  readonly predicate: unknown;
}

const statementType = "https://in-toto.io/Statement/v1";
/** Subjects without a name of their own. */
const unnamed = "_";

/**
 * The statement of one attestation (BuildKit exporter/attestation/make.go).
 * @param predicate its JSON value
 * @param own what the attestation says of "itself": the image under each of its names, or the files of an output
 */
export function inTotoStatement(
  attestation: Pick<Attestation, "inTotoPredicateType" | "inTotoSubjects">,
  predicate: unknown,
  own: readonly StatementSubject[],
): InTotoStatement {
  const given = attestation.inTotoSubjects;
  const subject = given.length === 0 ? own : given.flatMap((entry) => subjectsOf(entry, own));
  return { _type: statementType, predicateType: attestation.inTotoPredicateType, subject, predicate };
}

function subjectsOf(
  { kind, name, digest }: Attestation["inTotoSubjects"][number],
  own: readonly StatementSubject[],
): readonly StatementSubject[] {
  switch (kind) {
    case InTotoSubjectKind.Self:
      return own.flatMap((self) => (name === "" || name === unnamed ? [self] : [self, { name, digest: self.digest }]));
    case InTotoSubjectKind.Raw:
      return [{ name: name === "" ? unnamed : name, digest: digestSet(digest) }];
    default:
      throw new BuildError(Code.Unknown, `unknown attestation subject type ${kind}`);
  }
}

/** `sha256:ab…` → `{ sha256: "ab…" }`, sorted by algorithm. */
export function digestSet(digests: readonly string[]): Readonly<Record<string, string>> {
  const entries = digests.map((digest): [string, string] => {
    const colon = digest.indexOf(":");
    return [digest.slice(0, colon), digest.slice(colon + 1)];
  });
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}
