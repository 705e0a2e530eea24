import { AttestationKind } from "../../api/gen/gateway.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { EvaluatedAttestation, ExportSource } from "../../core/seams/exporter.ts";
import type { BridgeRef, FrontendResult } from "../../core/seams/llb-bridge.ts";
import { randomId } from "../../core/values/random-id.ts";
import { isMultiRef, resultPlatforms } from "../../exporters/index.ts";
import { goJson } from "../../util/go-json.ts";
import type { ProvenanceOptions } from "./attest-options.ts";
import { Capture } from "./capture.ts";
import { captureEdge, type GraphWalk } from "./capture-edge.ts";
import type { InputOrigins } from "./input-origins.ts";
import { type ProvenanceSubject, predicateTypes, provenancePredicate, type StepBlobs } from "./predicate.ts";
import type { ProvenanceEnvironment } from "./provenance-environment.ts";
import { type FrontendRequest, imagesFor, RequestScope } from "./request-scope.ts";
import { requestsOf } from "./scope-requests.ts";

export interface BuildProvenanceOptions {
  readonly graph: GraphWalk;
  /** What the client asked for. */
  readonly root: FrontendRequest;
  readonly origins: InputOrigins;
  /** Unix milliseconds. */
  readonly startedAt: number;
  readonly now: () => number;
  readonly compatibilityVersion: number;
  readonly environment: ProvenanceEnvironment;
}

/** What is known of the results of a build. */
export interface BuiltRefs {
  /** Only once a ref is built it is known what went into it. */
  isBuilt(ref: BridgeRef): boolean;
  /** Of a built ref. */
  stepBlobs(ref: BridgeRef): Promise<readonly StepBlobs[]>;
}

/**
 * Tells how the results of one build came about (map f25–f28; BuildKit solver/llbsolver/provenance.go). Dispose when the build
 * is over: until then other builds can name its requests as origins of their inputs.
 */
export class BuildProvenance implements Disposable {
  /** What the client asks for itself. */
  readonly scope: RequestScope;
  readonly #options: BuildProvenanceOptions;
  readonly #invocationId = randomId();
  readonly #published = new DisposableStack();
  #finishedAt: number | undefined;

  constructor(options: BuildProvenanceOptions) {
    this.#options = options;
    this.scope = new RequestScope(options.root);
  }

  [Symbol.dispose](): void {
    this.#published.dispose();
  }

  /** A frontend has answered: its result may become the input of another. */
  publish(result: FrontendResult, built: Pick<BuiltRefs, "isBuilt">): void {
    const { graph, origins } = this.#options;
    for (const ref of refsOf(result)) {
      const found = this.scope.find(ref.id);
      if (found === undefined) continue;
      const capture = built.isBuilt(ref) ? captureEdge(found.entry.edge(), graph) : new Capture();
      const { request } = requestsOf(found.scope, capture, origins);
      if (request !== undefined) this.#published.use(origins.register(ref.definition, request));
    }
  }

  /**
   * A provenance attestation for each platform of a built result; none for scratch. What it says is fixed now, but for the time
   * the build ended and the blobs there are: those are asked for when it is written.
   * @throws BuildError when materials must be complete and are not
   */
  attest(
    result: FrontendResult,
    source: ExportSource,
    options: ProvenanceOptions,
    built: BuiltRefs,
  ): ReadonlyMap<string, EvaluatedAttestation> {
    const platforms = resultPlatforms(source);
    const own = new Set(refsOf(result).map(({ id }) => id));
    for (const list of result.attestations?.values() ?? []) for (const { ref } of list) if (ref) own.add(ref.id);
    const attestations = new Map<string, EvaluatedAttestation>();
    for (const { id, platform } of platforms) {
      const ref = isMultiRef(source) ? result.refs?.get(id) : result.ref;
      if (ref === undefined) continue;
      const choose = (images: RequestScope["images"]) =>
        isMultiRef(source)
          ? imagesFor(
              platform,
              platforms.map((other) => other.platform),
              images,
            )
          : images;
      const subject = this.#subject(ref, own, choose, built);
      if (options.completeMaterials && !subject.capture.isComplete) throw incompleteMaterials(subject.capture);
      attestations.set(id, this.#attestation(ref, subject, options, built));
    }
    return attestations;
  }

  #attestation(
    ref: BridgeRef,
    subject: ProvenanceSubject,
    options: ProvenanceOptions,
    built: BuiltRefs,
  ): EvaluatedAttestation {
    const text = new TextEncoder();
    return {
      attestation: {
        kind: AttestationKind.InToto,
        metadata: { reason: text.encode("provenance"), "inline-only": text.encode(String(options.inlineOnly)) },
        ref: undefined,
        path: options.filename,
        inTotoPredicateType: predicateTypes[options.version],
        inTotoSubjects: [],
      },
      content: async () => {
        this.#finishedAt ??= this.#options.now();
        const run = {
          invocationId: this.#invocationId,
          startedAt: this.#options.startedAt,
          finishedAt: this.#finishedAt,
          compatibilityVersion: this.#options.compatibilityVersion,
          environment: this.#options.environment,
          stepBlobs: options.mode === "max" ? await built.stepBlobs(ref) : [],
        };
        return text.encode(goJson(provenancePredicate(subject, options, run), options.indented ? "  " : undefined));
      },
    };
  }

  /** @param own refs of the result: each has a provenance of its own, so they do not go into each other's */
  #subject(
    ref: BridgeRef,
    own: ReadonlySet<string>,
    choose: (images: RequestScope["images"]) => RequestScope["images"],
    built: BuiltRefs,
  ): ProvenanceSubject {
    const { graph, origins } = this.#options;
    const found = this.scope.find(ref.id);
    if (found === undefined) throw new BuildError(Code.Internal, `could not find request for ref ${ref.id}`);
    const { scope, entry } = found;
    const capture = captureEdge(entry.edge(), graph);
    for (const other of scope.refs) {
      if (!own.has(other.ref.id) && built.isBuilt(other.ref)) capture.merge(captureEdge(other.edge(), graph));
    }
    for (const image of choose(scope.images)) capture.addImage(image);
    return { capture, requests: requestsOf(scope, capture, origins), definition: ref.definition };
  }
}

function refsOf({ ref, refs }: FrontendResult): readonly BridgeRef[] {
  return [ref, ...(refs?.values() ?? [])].filter((one) => one !== undefined);
}

function incompleteMaterials({ locals }: Capture): BuildError {
  const lines = [
    "provenance materials are incomplete",
    "",
    "The build requested complete provenance materials, but not all dependencies could be captured.",
  ];
  if (locals.length > 0) {
    lines.push("", "Uncaptured local sources:");
    for (const name of locals) lines.push(`  - ${name === "" ? "<unnamed>" : name}`, "    reason: local_source");
  }
  return new BuildError(Code.Unknown, lines.join("\n"));
}
