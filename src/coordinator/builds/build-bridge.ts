import { randomUUID } from "node:crypto";
import type { Definition, SourceOp } from "../../api/gen/ops.ts";
import type { Policy } from "../../api/gen/sourcepolicy.ts";
import { BuildError, type ErrorDetail } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { Frontend } from "../../core/seams/frontend.ts";
import type { ContainerRequest, GatewayContainer } from "../../core/seams/gateway-container.ts";
import type {
  BridgeLog,
  BridgeRef,
  BridgeSolveRequest,
  BridgeWarning,
  FrontendResult,
  LlbBridge,
  SourceMeta,
  SourceMetaRequest,
} from "../../core/seams/llb-bridge.ts";
import type { ProgressWriter } from "../../core/seams/progress.ts";
import type { SessionGroup } from "../../core/seams/session-caller.ts";
import type { DispatchContext, TaskDispatcher } from "../../core/seams/task-dispatcher.ts";
import type { CdiDevice } from "../../core/values/cdi-device.ts";
import type { Digest } from "../../core/values/digest.ts";
import type { Ref } from "../../core/values/layer.ts";
import type { Platform } from "../../core/values/platform.ts";
import type { LlbEdge, LlbVertex } from "../../llb/definition/index.ts";
import type { CachedResult, Job } from "../../solver/index.ts";
import { checkPolicies } from "../../source-policy/index.ts";
import { inSpan } from "../../telemetry/index.ts";
import type { CacheImports } from "../caching/cache-imports.ts";
import type { BuildFailures } from "../failures/failed-steps.ts";
import { platformToMessage } from "../front-door/index.ts";
import { FleetContainer } from "../gateway/fleet-container.ts";
import { LogVertex } from "../gateway/log-vertex.ts";
import type { BuildProvenance, FrontendRequest, RequestScope } from "../provenance/index.ts";
import { admitDefinition, type BuildRules } from "./build-rules.ts";
import type { BuildSourceMeta } from "./build-source-meta.ts";
import { withBuiltinFrontend } from "./builtin-frontend.ts";
import { withDefinitionSource } from "./definition-source.ts";
import { LazyGraph } from "./lazy-graph.ts";
import { readResults } from "./read-results.ts";
import { SolvedRef } from "./solved-ref.ts";

export interface BuildBridgeOptions {
  readonly job: Job<Ref>;
  readonly sessions: SessionGroup;
  readonly dispatcher: TaskDispatcher;
  readonly frontends: ReadonlyMap<string, Frontend>;
  /** Devices of each agent. */
  readonly devices: () => readonly (readonly CdiDevice[])[];
  readonly sourceMeta: BuildSourceMeta;
  readonly cacheImports: CacheImports;
  readonly rules: BuildRules;
  /** Told of every graph before it is built. */
  readonly onGraph: (root: LlbVertex) => void;
  readonly workers: () => ReturnType<LlbBridge["workers"]>;
  /** Of the whole build: what is made for it ends with it. */
  readonly signal: AbortSignal;
  readonly provenance: BuildProvenance;
  readonly failures: BuildFailures;
  readonly traceparent?: string;
}

/** Frontends that call each other, or themselves: each may be a container. BuildKit goes on without end. */
const maxNesting = 16;

const noProgress: ProgressWriter = { status: () => {}, log: () => {}, warn: () => {} };

/** What frontends see of one build (BuildKit solver/llbsolver/bridge.go). */
export class BuildBridge implements LlbBridge {
  readonly #options: BuildBridgeOptions;
  readonly #scope: RequestScope;
  /** Frontends between the build and this bridge. */
  readonly #depth: number;
  /** Of the whole build. */
  readonly #results: Map<string, CachedResult<Ref>>;

  /** @param parent the bridge that called the frontend this one is for */
  constructor(options: BuildBridgeOptions, parent?: BuildBridge, request?: FrontendRequest) {
    this.#options = options;
    const scope = parent === undefined ? options.provenance.scope : parent.#scope;
    this.#scope = request === undefined ? scope : scope.nest(request);
    this.#depth = parent === undefined ? 0 : parent.#depth + 1;
    this.#results = parent === undefined ? new Map() : parent.#results;
  }

  get sessionIds(): readonly string[] {
    return this.#options.sessions.ids;
  }

  workers(): ReturnType<LlbBridge["workers"]> {
    return this.#options.workers();
  }

  async solve(request: BridgeSolveRequest, signal: AbortSignal): Promise<FrontendResult> {
    const { definition, frontend = "" } = request;
    if (definition !== undefined && definition.def.length > 0 && frontend !== "") {
      throw new BuildError(Code.InvalidArgument, "cannot solve with both Definition and Frontend specified");
    }
    const result = frontend === "" ? this.#solveDefinition(request) : await this.#solveFrontend(request, signal);
    if (request.evaluate === true) await evaluateAll(result, signal);
    this.#options.provenance.publish(result, { isBuilt: (ref) => this.solved(ref) !== undefined });
    return result;
  }

  async resolveSourceMeta(request: SourceMetaRequest, signal: AbortSignal): Promise<SourceMeta> {
    const { rules, sourceMeta } = this.#options;
    const { platform, logName = `resolve image config for ${request.source.identifier}` } = request;
    const asked = request.sourcePolicies ?? [];
    checkPolicies(asked);
    let source: SourceOp;
    try {
      const subject = { source: request.source, platform: platform && platformToMessage(platform) };
      source = await rules.sourcePolicy.apply(subject, [...asked, ...rules.sourcePolicy.rules], signal);
    } catch (error) {
      throw BuildError.from(error).wrap("could not resolve image due to policy");
    }
    const meta = await sourceMeta.resolve({ ...request, source, logName }, signal);
    this.#scope.addSource(meta, platform);
    return meta;
  }

  warn(warning: BridgeWarning): void {
    const { vertex, ...rest } = warning;
    this.#options.job.warn(vertex ?? ("" as Digest), rest);
  }

  async newContainer(request: ContainerRequest, signal: AbortSignal): Promise<GatewayContainer> {
    const evaluate = () => Promise.all(request.mounts.map(({ ref }) => ref?.evaluate(signal)));
    const { dispatcher, rules, job } = this.#options;
    const entitlements = [...rules.entitlements];
    const context = this.#context(this.#options.signal, noProgress);
    // As for a definition that names none: what the fleet offers first.
    const platform = request.platform ?? this.workers()[0]?.platforms[0];
    const placed = platform === undefined ? request : { ...request, platform };
    const open = (refs: readonly (Ref | undefined)[]) =>
      FleetContainer.open({ dispatcher, entitlements, context }, placed, refs, signal);
    return readResults(open, { job, solved: await evaluate(), again: evaluate, progress: noProgress, signal });
  }

  log(name: string): BridgeLog {
    const { job, signal } = this.#options;
    return new LogVertex((body) => job.inVertex(name, body, signal));
  }

  /** The solved result behind a ref which this bridge gave out, with its cache keys; undefined before it is solved. */
  solved(ref: BridgeRef): CachedResult<Ref> | undefined {
    return this.#results.get(ref.id);
  }

  /** A ref which this build's frontends were given. */
  find(refId: string): BridgeRef | undefined {
    return this.#options.provenance.scope.find(refId)?.entry.ref;
  }

  #solveDefinition(request: BridgeSolveRequest): FrontendResult {
    const { definition } = request;
    if (definition === undefined || definition.def.length === 0) return { metadata: new Map() };
    return { ref: this.#newRef(definition, request), metadata: new Map() };
  }

  async #solveFrontend(request: BridgeSolveRequest, signal: AbortSignal): Promise<FrontendResult> {
    const { frontend: name, options } = withBuiltinFrontend({
      frontend: request.frontend ?? "",
      options: request.frontendOpt ?? {},
    });
    const frontend = this.#options.frontends.get(name);
    if (frontend === undefined) throw new BuildError(Code.Unknown, `invalid frontend: ${name}`);
    if (this.#depth >= maxNesting) {
      const message = `frontend ${name} is nested more than ${maxNesting} deep: does it call itself?`;
      throw new BuildError(Code.ResourceExhausted, message);
    }
    const inputs = request.frontendInputs ?? {};
    const nested = new BuildBridge(this.#options, this, { frontend: name, options, inputs });
    try {
      return await inSpan(`frontend ${name}`, { parent: this.#options.traceparent }, () =>
        frontend.solve(nested, options, inputs, signal),
      );
    } catch (error) {
      throw BuildError.from(error).wrap("", [frontendDetail(name, options["source"] ?? "")]);
    }
  }

  #newRef(definition: Definition, request: BridgeSolveRequest): BridgeRef {
    const id = randomUUID();
    const caches = this.#options.cacheImports.managers(request.cacheImports ?? []);
    const graph = new LazyGraph(() => this.#admit(definition, request.sourcePolicies ?? []));
    const ref = new SolvedRef({
      id,
      definition,
      job: this.#options.job,
      dispatcher: this.#options.dispatcher,
      context: (signal) => this.#context(signal, noProgress),
      solve: async (signal) => {
        try {
          const solved = await this.#options.job.build(await graph.load(signal), { signal, caches });
          this.#results.set(id, solved);
          return solved;
        } catch (error) {
          this.#options.failures.add(error);
          throw withDefinitionSource(error, definition, graph.loaded);
        }
      },
    });
    this.#scope.addRef(ref, () => graph.require());
    return ref;
  }

  async #admit(definition: Definition, asked: readonly Policy[]): Promise<LlbEdge> {
    checkPolicies(asked);
    const { rules, devices, signal } = this.#options;
    const edge = await admitDefinition(definition, [rules], asked, devices, signal);
    this.#options.onGraph(edge.vertex);
    return edge;
  }

  #context(signal: AbortSignal, progress: ProgressWriter): DispatchContext & { readonly platform?: Platform } {
    const { sessions, traceparent } = this.#options;
    return { signal, progress, sessions, ...(traceparent === undefined ? {} : { traceparent }) };
  }
}

/** Tells which frontend an error comes from (BuildKit solver/llbsolver/provenance.go). */
function frontendDetail(name: string, source: string): ErrorDetail {
  const value = { name, ...(source === "" ? {} : { source }) };
  return {
    typeUrl: "github.com/moby/buildkit/errdefs.Frontend+json",
    value: new TextEncoder().encode(JSON.stringify(value)),
  };
}

/** Runs every ref of a result, all at the same time. */
export async function evaluateAll(result: FrontendResult, signal: AbortSignal): Promise<void> {
  const refs = [result.ref, ...(result.refs?.values() ?? [])];
  await Promise.all(refs.map((ref) => ref?.evaluate(signal)));
}
