import type { Definition, Locations } from "../../api/gen/ops.ts";
import type { Descriptor } from "../../core/values/descriptor.ts";
import { formatPlatform, hostPlatform } from "../../core/values/platform.ts";
import { sortKeys } from "../../exporters/index.ts";
import { goTime } from "../../util/go-json.ts";
import { dockerfileVersion } from "../../version.ts";
import type { ProvenanceOptions } from "./attest-options.ts";
import { type BuildConfig, BuildSteps } from "./build-steps.ts";
import type { Capture } from "./capture.ts";
import { type Material, materialsOf } from "./materials.ts";
import { messageJson } from "./op-json.ts";
import type { ProvenanceEnvironment } from "./provenance-environment.ts";
import { redactUrl } from "./redact-url.ts";
import {
  type ConfigSource,
  lentParameters,
  type RequestParameters,
  type RequestProvenance,
} from "./request-provenance.ts";
import type { ScopeRequests } from "./scope-requests.ts";

/** One result with all that is to be told about it. */
export interface ProvenanceSubject {
  readonly capture: Capture;
  readonly requests: ScopeRequests;
  readonly definition: Definition;
}

export interface ProvenanceRun {
  readonly invocationId: string;
  /** Unix milliseconds. */
  readonly startedAt: number;
  readonly finishedAt: number;
  readonly compatibilityVersion: number;
  /** What the operator tells of this builder. */
  readonly environment: ProvenanceEnvironment;
  /** Blobs of the steps whose results are blobs already. */
  readonly stepBlobs: readonly StepBlobs[];
}

export interface StepBlobs {
  readonly vertex: string;
  readonly output: number;
  readonly blobs: readonly Descriptor[];
}

/** What both versions of the format tell. */
interface Facts {
  readonly configSource: ConfigSource;
  readonly request: RequestParameters;
  readonly materials: readonly Material[];
  readonly buildConfig: BuildConfig | undefined;
  readonly environment: { readonly builderPlatform: string; readonly dockerfileVersion?: string };
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly isHermetic: boolean;
  readonly isRequestComplete: boolean;
  readonly areMaterialsComplete: boolean;
}

export const predicateTypes = {
  v1: "https://slsa.dev/provenance/v1",
  "v0.2": "https://slsa.dev/provenance/v0.2",
} as const;

const buildType = "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md";
const oldBuildType = "https://mobyproject.org/buildkit@v1";
/** Build arguments and labels may hold what is nobody's business. */
const privateArgument = /^(?:build-arg|label):/;

/** SLSA provenance of a result; fields in Go's order (map f26, f27). */
export function provenancePredicate(
  subject: ProvenanceSubject,
  options: ProvenanceOptions,
  run: ProvenanceRun,
): object {
  const facts = factsOf(subject, options, run);
  return options.version === "v1" ? slsa1(facts, options, run) : slsa02(facts, options, run);
}

function slsa1(facts: Facts, options: ProvenanceOptions, run: ProvenanceRun): object {
  const { buildConfig, environment } = facts;
  return {
    buildDefinition: {
      buildType,
      ...(facts.materials.length === 0 ? {} : { resolvedDependencies: facts.materials }),
      externalParameters: { configSource: facts.configSource, request: facts.request },
      // Go passes this through a map.
      internalParameters: sortKeys({ ...(buildConfig === undefined ? {} : { buildConfig }), ...environment }),
    },
    runDetails: {
      builder: { id: options.builderId },
      metadata: {
        invocationId: run.invocationId,
        startedOn: goTime(run.startedAt),
        finishedOn: goTime(run.finishedAt),
        buildkit_metadata: facts.metadata,
        ...(facts.isHermetic ? { buildkit_hermetic: true } : {}),
        buildkit_completeness: {
          request: facts.isRequestComplete,
          resolvedDependencies: facts.areMaterialsComplete,
        },
        ...(options.reproducible ? { buildkit_reproducible: true } : {}),
      },
    },
  };
}

function slsa02(facts: Facts, options: ProvenanceOptions, run: ProvenanceRun): object {
  const { path, ...source } = facts.configSource;
  const { builderPlatform, ...environment } = facts.environment;
  return {
    builder: { id: options.builderId },
    buildType: oldBuildType,
    ...(facts.materials.length === 0 ? {} : { materials: facts.materials }),
    invocation: {
      configSource: { ...source, ...(path === undefined ? {} : { entryPoint: path }) },
      parameters: facts.request,
      environment: sortKeys({ ...environment, platform: builderPlatform }),
    },
    ...(facts.buildConfig === undefined ? {} : { buildConfig: facts.buildConfig }),
    metadata: {
      buildInvocationID: run.invocationId,
      buildStartedOn: goTime(run.startedAt),
      buildFinishedOn: goTime(run.finishedAt),
      completeness: {
        parameters: facts.isRequestComplete,
        environment: true,
        materials: facts.areMaterialsComplete,
      },
      reproducible: options.reproducible,
      "https://mobyproject.org/buildkit@v1#metadata": facts.metadata,
      ...(facts.isHermetic ? { "https://mobyproject.org/buildkit@v1#hermetic": true } : {}),
    },
  };
}

function factsOf(subject: ProvenanceSubject, { mode }: ProvenanceOptions, run: ProvenanceRun): Facts {
  const { capture } = subject;
  const { vcs, request } = requestParameters(subject);
  const scrubbed = mode === "min" ? scrub(request) : { request, incomplete: false };
  const steps = mode === "max" ? new BuildSteps(subject.definition) : undefined;
  const source = steps && sourceOf(subject.definition, steps);
  const layers = steps && layersOf(run.stepBlobs, steps);
  const isDockerfile = request.frontend === "dockerfile.v0";
  return {
    configSource: subject.requests.request?.configSource ?? {},
    request: { ...scrubbed.request, compatibilityVersion: run.compatibilityVersion },
    materials: materialsOf(capture),
    buildConfig: steps?.config,
    environment: {
      builderPlatform: formatPlatform(hostPlatform()),
      ...(isDockerfile ? { dockerfileVersion } : {}),
      ...run.environment,
    },
    metadata: {
      ...(vcs === undefined ? {} : { vcs }),
      ...(source === undefined ? {} : { source }),
      ...(layers === undefined ? {} : { layers }),
    },
    isHermetic: capture.isComplete && !capture.networkAccess,
    isRequestComplete: request.frontend !== undefined && !scrubbed.incomplete,
    areMaterialsComplete: capture.isComplete,
  };
}

function requestParameters({ capture, requests: { request, root } }: ProvenanceSubject): {
  readonly vcs: Readonly<Record<string, string>> | undefined;
  readonly request: RequestParameters;
} {
  const { frontend, args = {}, inputs } = request?.request ?? {};
  const all = Object.entries(args);
  const shown = all.filter(([key]) => !key.startsWith("vcs:"));
  const vcs = all
    .filter(([key, value]) => key.startsWith("vcs:") && value !== "")
    .map(([key, value]) => [key.slice("vcs:".length), key === "vcs:source" ? redactUrl(value) : value]);
  const secrets = lentParameters(capture.secrets);
  const ssh = lentParameters(capture.ssh);
  const locals = capture.locals.map((name) => ({ name }));
  return {
    vcs: vcs.length === 0 ? undefined : Object.fromEntries(vcs),
    request: {
      ...(frontend === undefined ? {} : { frontend }),
      ...(shown.length === 0 ? {} : { args: Object.fromEntries(shown) }),
      ...(secrets === undefined ? {} : { secrets }),
      ...(ssh === undefined ? {} : { ssh }),
      ...(locals.length === 0 ? {} : { locals }),
      ...(inputs === undefined ? {} : { inputs }),
      ...(root === undefined ? {} : { root }),
    },
  };
}

/** Mode min: a request without what users may not want to publish. `incomplete` when arguments were left out. */
function scrub(parameters: RequestParameters): { readonly request: RequestParameters; readonly incomplete: boolean } {
  const { frontend, args, secrets: _secrets, ssh: _ssh, inputs, root, ...rest } = parameters;
  let incomplete = Object.keys(args ?? {}).some((key) => privateArgument.test(key));
  const shown = Object.entries(args ?? {}).filter(([key]) => !privateArgument.test(key));
  const inner = ({ configSource, request }: RequestProvenance): RequestProvenance => {
    const scrubbed = scrub(request);
    incomplete ||= scrubbed.incomplete;
    return { configSource, request: scrubbed.request };
  };
  const scrubbedInputs = Object.entries(inputs ?? {}).map(([name, input]) => [name, inner(input)] as const);
  const request: RequestParameters = {
    ...(frontend === undefined ? {} : { frontend }),
    ...(shown.length === 0 ? {} : { args: Object.fromEntries(shown) }),
    ...rest,
    ...(scrubbedInputs.length === 0 ? {} : { inputs: Object.fromEntries(scrubbedInputs) }),
    ...(root === undefined ? {} : { root: inner(root) }),
  };
  return { request, incomplete };
}

/** The files a definition was written in, and which lines each step comes from. */
function sourceOf({ Source }: Definition, steps: BuildSteps): object | undefined {
  if (Source === undefined || Source.infos.length === 0) return undefined;
  const locations = Object.entries(Source.locations)
    .flatMap(([digest, lines]): [string, Locations][] => {
      const id = steps.idOf(digest);
      return id === undefined ? [] : [[id, lines]];
    })
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    ...(locations.length === 0
      ? {}
      : { locations: Object.fromEntries(locations.map(([id, lines]) => [id, messageJson(lines)])) }),
    infos: Source.infos.map(({ filename, language, data, definition }) => ({
      ...(filename === "" ? {} : { filename }),
      ...(language === "" ? {} : { language }),
      ...(data.length === 0 ? {} : { data: Buffer.from(data).toString("base64") }),
      ...new BuildSteps(definition).config,
    })),
  };
}

function layersOf(stepBlobs: readonly StepBlobs[], steps: BuildSteps): object | undefined {
  const layers = new Map<string, (readonly Descriptor[])[]>();
  for (const { vertex, output, blobs } of stepBlobs) {
    const id = steps.idOf(vertex);
    if (id === undefined) continue;
    const chains = layers.get(`${id}:${output}`) ?? [];
    layers.set(`${id}:${output}`, chains);
    if (!chains.some((chain) => sameBlobs(chain, blobs))) chains.push(blobs);
  }
  return layers.size === 0 ? undefined : Object.fromEntries([...layers].sort(([a], [b]) => (a < b ? -1 : 1)));
}

function sameBlobs(a: readonly Descriptor[], b: readonly Descriptor[]): boolean {
  return a.length === b.length && a.every(({ digest }, index) => digest === b[index]?.digest);
}
