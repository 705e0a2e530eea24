import { BuildError } from "../../core/errors/build-error.ts";
import type { EvaluatedAttestation, ExportContext, ExporterInstance, ExportSource } from "../../core/seams/exporter.ts";
import type { BridgeRef, FrontendResult, LlbBridge } from "../../core/seams/llb-bridge.ts";
import type { Logger } from "../../core/seams/logger.ts";
import type { Edge } from "../../core/seams/op.ts";
import type { ProgressWriter } from "../../core/seams/progress.ts";
import type { CacheExporterInstance } from "../../core/seams/remote-cache.ts";
import type { SessionGroup } from "../../core/seams/session-caller.ts";
import type { TaskDispatcher } from "../../core/seams/task-dispatcher.ts";
import { type Digest, sha256 } from "../../core/values/digest.ts";
import type { LayerId, LayerInfo, Ref } from "../../core/values/layer.ts";
import type { SolveProgress } from "../../core/values/solve-progress.ts";
import { isMultiRef } from "../../exporters/index.ts";
import { checkTerminal } from "../../llb/definition/index.ts";
import type { CachedResult, Job, VertexOutcome } from "../../solver/index.ts";
import { withSignal } from "../../util/abort.ts";
import { allOrAbort } from "../../util/all-or-abort.ts";
import type { CacheExports } from "../caching/cache-exports.ts";
import type { ActiveBuild, SolveParams } from "../front-door/index.ts";
import {
  type BuildOutcome,
  type BuildRecording,
  type RecordedProvenance,
  recordSteps,
  resultDescriptor,
} from "../history/index.ts";
import {
  type AttestOptions,
  type BuildProvenance,
  type ProvenanceOptions,
  recordedProvenance,
} from "../provenance/index.ts";
import type { BuildBridge } from "./build-bridge.ts";
import { platformWarnings, requestedPlatforms } from "./check-platforms.ts";
import { readResults } from "./read-results.ts";
import { ResultEvaluation } from "./result-evaluation.ts";
import { jobProgress } from "./solve-progress.ts";

export interface FleetBuildOptions {
  readonly params: SolveParams;
  readonly signal: AbortSignal;
  readonly job: Job<Ref>;
  readonly bridge: BuildBridge;
  readonly exporters: readonly ExporterInstance[];
  /** Absent when the client decides nothing about exports while the build runs. */
  readonly sessionExports: SessionExports | undefined;
  readonly caching: BuildCaching;
  readonly sessions: SessionGroup;
  readonly dispatcher: TaskDispatcher;
  readonly layer: (id: LayerId) => LayerInfo;
  /** Absent for builds that leave no record. */
  readonly recording: BuildRecording | undefined;
  readonly provenance: BuildProvenance;
  readonly attest: AttestOptions;
  /** Called when the job is gone, before the record is complete, with why the build failed, and what became of its vertices. */
  readonly onEnd: (error: BuildError | undefined, steps: readonly VertexOutcome[]) => void;
  readonly logger: Logger;
}

export interface SessionExports {
  /** Exporters besides those of the request. */
  find(source: ExportSource, refIds: readonly string[], signal: AbortSignal): Promise<readonly ExporterInstance[]>;
  finalize(response: Readonly<Record<string, string>>, signal: AbortSignal): Promise<void>;
}

export interface BuildCaching {
  readonly exports: CacheExports;
  /** Without inline, which goes along with the exporters. */
  readonly exporters: readonly {
    readonly exporter: CacheExporterInstance;
    readonly mode: "min" | "max";
    readonly ignoreError: boolean;
  }[];
}

/** As far as the build came. */
type Reached = { -readonly [K in keyof BuildOutcome]: BuildOutcome[K] } & { source?: ExportSource };

/** The longest that making a record of a build may take. */
const recordTimeoutMs = 300_000;

/** One build from the frontend's result to the end of its exports (map a17). */
export class FleetBuild implements ActiveBuild {
  readonly bridge: LlbBridge;
  readonly #options: FleetBuildOptions;
  readonly #evaluation: ResultEvaluation;

  constructor(options: FleetBuildOptions) {
    this.bridge = options.bridge;
    this.#options = options;
    const { bridge, attest, params, signal } = options;
    this.#evaluation = new ResultEvaluation({
      ...{ bridge, sbom: attest.sbom, frontendOpt: params.frontendOpt, signal },
      provenance: (result, source) =>
        attest.provenance === undefined ? new Map() : this.#provenance(result, source, attest.provenance),
    });
  }

  async finish(result: FrontendResult): Promise<Readonly<Record<string, string>>> {
    const reached: Reached = {};
    try {
      return await this.#export(result, reached);
    } catch (error) {
      reached.error = BuildError.from(error);
      throw error;
    } finally {
      if (this.#options.recording !== undefined) reached.provenance = await this.#recorded(result, reached);
      await this.#end(reached);
    }
  }

  /** Whatever was asked for: the record tells all. Before the job ends, which knows what the result was made from. */
  async #recorded(result: FrontendResult, { source }: Reached): Promise<ReadonlyMap<string, RecordedProvenance>> {
    const { attest, logger } = this.#options;
    const recorded = new Map<string, RecordedProvenance>();
    if (source === undefined) return recorded;
    try {
      const options = recordedProvenance(attest.provenance?.builderId ?? "");
      for (const [platform, { attestation, content }] of this.#provenance(result, source, options)) {
        const data = (await content?.()) ?? new Uint8Array();
        recorded.set(isMultiRef(source) ? platform : "", { predicateType: attestation.inTotoPredicateType, data });
      }
    } catch (error) {
      logger.warn("provenance is not recorded", { error: BuildError.from(error).message });
    }
    return recorded;
  }

  async fail(error: BuildError): Promise<void> {
    await this.#end({ error });
  }

  progress(signal: AbortSignal): AsyncIterable<SolveProgress> {
    return jobProgress(this.#options.job, signal);
  }

  async #end(outcome: BuildOutcome): Promise<void> {
    const { logger, params, job, recording } = this.#options;
    const { error } = outcome;
    const outcomes = job.outcomes();
    const steps = recording === undefined ? [] : recordSteps(outcomes);
    if (error === undefined) logger.info("build finished", { ref: params.ref });
    else logger.info("build failed", { ref: params.ref, error: error.message });
    try {
      await job.discard();
    } finally {
      this.#options.onEnd(error, outcomes);
      await recording?.end({ ...outcome, steps }, this.progress(AbortSignal.timeout(recordTimeoutMs)));
    }
  }

  async #export(result: FrontendResult, reached: Reached): Promise<Readonly<Record<string, string>>> {
    const { params, sessionExports, job, signal } = this.#options;
    const source = await this.#evaluation.evaluate(result);
    reached.metadata = source.metadata;
    reached.source = source;
    for (const short of platformWarnings(requestedPlatforms(params.frontendOpt), source)) {
      job.warn(sha256(short), { level: 0, short, detail: [], url: "" });
    }
    const refs = [result.ref, ...(result.refs?.values() ?? [])].flatMap((ref) => ref?.id ?? []);
    const exporters = [...this.#options.exporters, ...((await sessionExports?.find(source, refs, signal)) ?? [])];
    const response = await this.#exportTo(exporters, source, result, reached);
    if (this.#options.recording !== undefined) {
      for (const ref of [result.ref, ...(result.refs?.values() ?? [])]) if (ref) checkTerminal(ref.definition);
    }
    for (const [key, value] of result.metadata) {
      if (key.startsWith("frontend.")) response[key] = new TextDecoder().decode(value);
    }
    await sessionExports?.finalize(response, signal);
    return response;
  }

  /** Caches are exported while images are pushed: by then all that both send is packed. @returns exporter response keys */
  async #exportTo(
    exporters: readonly ExporterInstance[],
    source: ExportSource,
    result: FrontendResult,
    reached: Reached,
  ): Promise<Record<string, string>> {
    const documents = new Map<Digest, { readonly mediaType: string; readonly data: Uint8Array }>();
    reached.documents = documents;
    const written = exporters.map(() => Promise.withResolvers<void>());
    const exports = exporters.map(
      (exporter, place) => (both: AbortSignal) =>
        this.#options.job.inVertex(
          exporter.name,
          async (progress, linked) => {
            const context = this.#context(progress, linked);
            const write = async (solved: ExportSource) => {
              const made = await exporter.export(this.#withInlineCache(solved, result, context), context);
              for (const [digest, document] of made.documents ?? []) documents.set(digest, document);
              written[place]?.resolve();
              await made.finalize?.(context);
              return made.response;
            };
            const again = (solved: ExportSource) => this.#evaluation.again(solved, result, linked);
            return readResults(write, { job: this.#options.job, solved: source, again, progress, signal: linked });
          },
          both,
        ),
    );
    const caches = async (both: AbortSignal) => {
      await withSignal(Promise.all(written.map(({ promise }) => promise)), both);
      return this.#exportCaches(result, both);
    };
    const responses = await allOrAbort([...exports, caches], this.#options.signal, (work, both) => work(both));
    reached.results = responses.slice(0, -1).map(resultDescriptor);
    return Object.assign({}, ...responses);
  }

  async #exportCaches(result: FrontendResult, signal: AbortSignal): Promise<Readonly<Record<string, string>>> {
    const { caching, job } = this.#options;
    const refs = [result.ref, ...(result.refs?.values() ?? [])];
    const solved = () => refs.flatMap((ref) => this.#solved(ref) ?? []);
    const again = async (lost: readonly Edge[], until: AbortSignal) => {
      // Steps below the result may be wanted too; what cannot be made again is left out.
      await Promise.allSettled(lost.map((edge) => job.build(edge, { signal: until })));
      await allOrAbort(refs, until, async (ref, both) => ref?.evaluate(both));
      return solved();
    };
    const responses = await allOrAbort(caching.exporters, signal, async ({ exporter, mode, ignoreError }, both) => {
      try {
        return await job.inVertex(
          exporter.name,
          (progress, linked) => {
            const context = this.#context(progress, linked);
            return readResults((results) => caching.exports.write(exporter, mode, results, context), {
              ...{ job, solved: solved(), progress, signal: linked },
              again: (_, lost) => again(lost, linked),
            });
          },
          both,
        );
      } catch (error) {
        if (both.aborted || !ignoreError) throw error;
        return {};
      }
    });
    return Object.assign({}, ...responses);
  }

  #withInlineCache(source: ExportSource, result: FrontendResult, context: ExportContext): ExportSource {
    const { params, caching } = this.#options;
    if (!params.cacheExports.some(({ type }) => type === "inline")) return source;
    return {
      ...source,
      inlineCache: async (platformId, layers) => {
        const solved = this.#solved(result.refs?.get(platformId) ?? result.ref);
        return solved && caching.exports.inline(solved, layers, context);
      },
    };
  }

  #solved(ref: BridgeRef | undefined): CachedResult<Ref> | undefined {
    return ref && this.#options.bridge.solved(ref);
  }

  #provenance(
    result: FrontendResult,
    source: ExportSource,
    options: ProvenanceOptions,
  ): ReadonlyMap<string, EvaluatedAttestation> {
    const { provenance, caching, layer } = this.#options;
    return provenance.attest(result, source, options, {
      isBuilt: (ref) => this.#solved(ref) !== undefined,
      stepBlobs: async (ref) => {
        const solved = this.#solved(ref);
        return solved === undefined ? [] : caching.exports.stepBlobs(solved, layer);
      },
    });
  }

  #context(progress: ProgressWriter, signal: AbortSignal): ExportContext {
    const { params, sessions, dispatcher, layer } = this.#options;
    return {
      signal,
      progress,
      sessions,
      sessionId: params.sessionId,
      dispatcher,
      layer,
      compatibilityVersion: params.compatibilityVersion,
      ...(params.traceparent === undefined ? {} : { traceparent: params.traceparent }),
    };
  }
}
