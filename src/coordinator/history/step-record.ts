import type { OpFacts } from "../../llb/facts/index.ts";
import type { VertexOutcome } from "../../solver/index.ts";

/**
 * One vertex of a recorded build: what became of it, and all that its cache key was made of. Packed with msgpackr; a change of
 * its shape needs a new `stepsFormat`.
 */
export interface StepRecord {
  /** Of the vertex; also what progress names it by. */
  readonly digest: string;
  readonly name: string;
  /** Place in the order of starts, from 1, as plain progress shows it but for steps side by side. */
  readonly number?: number;
  readonly kind: "exec" | "file" | "source" | "merge" | "diff" | "build" | "passthrough";
  readonly how: VertexOutcome["how"];
  /** What it was loaded from: absent for the fleet's own cache, else the name of an import. */
  readonly importedFrom?: string;
  readonly lostResult?: true;
  /** It was asked to run whatever the cache has. */
  readonly ignoreCache?: true;
  /** Its own part of the key, in equivalent forms; empty when none was needed. */
  readonly keys: readonly string[];
  readonly inputs: readonly StepInput[];
  readonly facts: OpFacts;
}

export interface StepInput {
  /** Place in the list of steps; inputs come before those who use them. */
  readonly step: number;
  readonly output: number;
  /** Digest of which part counts, for the key by definition. */
  readonly selector?: string;
  /** Digest of that part's content, where it was computed. */
  readonly content?: string;
}

export const stepsFormat = 1;

/** Its key holds for one session only, so it is read anew in every build. */
export function isLocal({ kind, facts }: StepRecord): boolean {
  return kind === "source" && facts["source"]?.startsWith("local://") === true;
}
