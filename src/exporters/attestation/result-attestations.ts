import type { EvaluatedAttestation, ExportContext, ExportSource } from "../../core/seams/exporter.ts";
import { type InTotoStatement, inTotoStatement, type StatementSubject } from "./in-toto-statement.ts";
import { AttestationReader } from "./read-attestation.ts";
import { isInlineOnly, type LooseAttestation, unbundle } from "./unbundle.ts";

/** A statement and the file it is written as. */
export interface NamedStatement {
  readonly path: string;
  readonly statement: InTotoStatement;
}

/** The attestations that come with a result, for one export. */
export class ResultAttestations {
  readonly #source: ExportSource;
  readonly #reader: AttestationReader;

  constructor(source: ExportSource, context: ExportContext) {
    this.#source = source;
    this.#reader = new AttestationReader(context);
  }

  /** Some platform has attestations. */
  get exist(): boolean {
    return (this.#source.attestations?.size ?? 0) > 0;
  }

  /** @param inlineToo also those that go only along with images */
  has(platformId: string, inlineToo: boolean): boolean {
    return this.#of(platformId, inlineToo).length > 0;
  }

  /**
   * @param subjects asked for when there is something to say
   * @param supplement changes predicates before they are written
   */
  async statements(
    platformId: string,
    inlineToo: boolean,
    subjects: () => Promise<readonly StatementSubject[]>,
    supplement: (entry: LooseAttestation) => Promise<LooseAttestation> = async (entry) => entry,
  ): Promise<readonly NamedStatement[]> {
    const attestations = this.#of(platformId, inlineToo);
    if (attestations.length === 0) return [];
    const [loose, own] = await Promise.all([unbundle(attestations, this.#reader), subjects()]);
    const final = await Promise.all(loose.map(supplement));
    return final.map(({ attestation, predicate }) => ({
      path: attestation.path,
      statement: inTotoStatement(attestation, predicate, own),
    }));
  }

  #of(platformId: string, inlineToo: boolean): readonly EvaluatedAttestation[] {
    const all = this.#source.attestations?.get(platformId) ?? [];
    return inlineToo ? all : all.filter((attestation) => !isInlineOnly(attestation));
  }
}
