import type { Attestation } from "../../api/gen/gateway.ts";
import type { EvaluatedAttestation, ExportSource } from "../../core/seams/exporter.ts";
import type { FrontendResult } from "../../core/seams/llb-bridge.ts";
import { type AttestOptions, attestSbom } from "../provenance/index.ts";
import type { BuildBridge } from "./build-bridge.ts";

export interface ResultEvaluationOptions {
  readonly bridge: BuildBridge;
  readonly sbom: AttestOptions["sbom"];
  readonly frontendOpt: Readonly<Record<string, string>>;
  /** By platform; empty when none is wanted. */
  readonly provenance: (result: FrontendResult, source: ExportSource) => ReadonlyMap<string, EvaluatedAttestation>;
  readonly signal: AbortSignal;
}

/** Makes of a frontend's result what exporters take: every ref solved, and the attestations that were asked for. */
export class ResultEvaluation {
  readonly #options: ResultEvaluationOptions;

  constructor(options: ResultEvaluationOptions) {
    this.#options = options;
  }

  async evaluate(result: FrontendResult): Promise<ExportSource> {
    const { signal, provenance } = this.#options;
    const [solved, attestations] = await Promise.all([
      solvedRefs(result, signal),
      this.#attestations(result.attestations ?? new Map(), (attestation) => this.#evaluated(attestation, signal)),
    ]);
    const source: ExportSource = { metadata: result.metadata, ...solved };
    // Scanners come later: what they are made from does not go into the result.
    const made = provenance(result, source);
    for (const [platform, attestation] of [...(await this.#sboms(result, source)), ...made]) {
      attestations.set(platform, [...(attestations.get(platform) ?? []), attestation]);
    }
    return attestations.size === 0 ? source : { ...source, attestations };
  }

  /** The same once more, after some of it was lost: what is still there stays as it is. */
  async again(source: ExportSource, result: FrontendResult, signal: AbortSignal): Promise<ExportSource> {
    const { attestations = new Map() } = source;
    const [solved, evaluated] = await Promise.all([
      solvedRefs(result, signal),
      this.#attestations(attestations, async (one: EvaluatedAttestation) => ({
        ...one,
        ...(await this.#evaluated(one.attestation, signal)),
      })),
    ]);
    return { ...source, ...solved, ...(evaluated.size === 0 ? {} : { attestations: evaluated }) };
  }

  async #attestations<A>(
    attestations: ReadonlyMap<string, readonly A[]>,
    evaluate: (attestation: A) => Promise<EvaluatedAttestation>,
  ): Promise<Map<string, readonly EvaluatedAttestation[]>> {
    const entries = [...attestations].map(
      async ([platform, list]) => [platform, await Promise.all(list.map(evaluate))] as const,
    );
    return new Map(await Promise.all(entries));
  }

  async #evaluated(attestation: Attestation, signal: AbortSignal): Promise<EvaluatedAttestation> {
    const ref = await (attestation.ref && this.#options.bridge.find(attestation.ref.id)?.evaluate(signal));
    return { attestation, ...(ref === undefined ? {} : { ref }) };
  }

  async #sboms(
    result: FrontendResult,
    source: ExportSource,
  ): Promise<readonly (readonly [string, EvaluatedAttestation])[]> {
    const { sbom, bridge, frontendOpt, signal } = this.#options;
    if (sbom === undefined) return [];
    const made = await attestSbom(bridge, sbom, { result, source }, frontendOpt, signal);
    return Promise.all(
      [...made].map(async ([platform, attestation]) => [platform, await this.#evaluated(attestation, signal)] as const),
    );
  }
}

async function solvedRefs(result: FrontendResult, signal: AbortSignal): Promise<Pick<ExportSource, "ref" | "refs">> {
  const entries = [...(result.refs ?? [])].map(async ([id, ref]) => [id, await ref?.evaluate(signal)] as const);
  const [ref, refs] = await Promise.all([result.ref?.evaluate(signal), Promise.all(entries)]);
  return {
    ...(ref === undefined ? {} : { ref }),
    ...(result.refs === undefined ? {} : { refs: new Map(refs) }),
  };
}
