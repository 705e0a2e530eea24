import type { LlbPayload } from "../../llb/definition/index.ts";
import { opFacts } from "../../llb/facts/index.ts";
import type { JobVertexOutcome } from "../../solver/index.ts";
import type { StepInput, StepRecord } from "./step-record.ts";

/** What a record keeps of the vertices of a build. @param outcomes inputs before those who use them */
export function recordSteps(outcomes: readonly JobVertexOutcome[]): StepRecord[] {
  const places = new Map(outcomes.map(({ digest }, place) => [digest, place]));
  return outcomes.map((outcome) => {
    const { vertex, number, how, loadedFrom, lostResult, keys, pin } = outcome;
    const { op, platform } = vertex.payload as LlbPayload;
    return {
      digest: vertex.digest,
      name: vertex.name,
      ...(number === undefined ? {} : { number }),
      kind: op.op?.$case ?? "passthrough",
      how,
      ...(loadedFrom === undefined || loadedFrom === "local" ? {} : { importedFrom: loadedFrom }),
      ...(lostResult ? { lostResult } : {}),
      ...(vertex.options.ignoreCache ? { ignoreCache: true } : {}),
      keys,
      inputs: outcome.inputs.map(({ digest, ...input }): StepInput => ({ step: places.get(digest) ?? -1, ...input })),
      facts: opFacts(op, platform, pin),
    };
  });
}
