import type { Attestation } from "../../api/gen/gateway.ts";
import type { Definition, Range } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { withSource } from "../../core/errors/source-error.ts";
import type { Frontend } from "../../core/seams/frontend.ts";
import type { BridgeRef, FrontendResult, LlbBridge } from "../../core/seams/llb-bridge.ts";
import { hostPlatform, normalizePlatform, type Platform } from "../../core/values/platform.ts";
import { marshalSteps } from "../../llb/builder/index.ts";
import { goJson } from "../../util/go-json.ts";
import { inTurns } from "../../util/turns.ts";
import { type BuildConfig, BuildContext, type DockerfileSource, parseBuildConfig } from "./context/index.ts";
import { type Conversion, convertDockerfile } from "./convert/index.ts";
import { DockerfileError } from "./dockerfile-error.ts";
import { checkFrontendCaps } from "./frontend-caps.ts";
import { encodeImage, formatPlatformFully } from "./image/index.ts";
import type { LintWarning } from "./lint/index.ts";
import { detectSyntax } from "./parser/index.ts";
import { SbomScanner } from "./sbom-scanner.ts";
import {
  convertLlbRequest,
  convertLlbResult,
  describeRequest,
  describeSubrequests,
  lintRequest,
  lintResult,
  listTargets,
  outlineOf,
  outlineRequest,
  targetsRequest,
} from "./subrequests/index.ts";

type Opts = Readonly<Record<string, string>>;

/** `dockerfile.v0`: builds Dockerfiles (BuildKit frontend/dockerfile/builder/build.go). */
export class DockerfileFrontend implements Frontend {
  readonly name = "dockerfile.v0";

  async solve(
    bridge: LlbBridge,
    opts: Opts,
    inputs: Readonly<Record<string, Definition>>,
    signal: AbortSignal,
  ): Promise<FrontendResult> {
    const config = parseBuildConfig(opts, bridge.workers()[0]?.platforms[0]);
    const missingCap = checkFrontendCaps(opts["frontend.caps"] ?? "");
    const context = new BuildContext(bridge, opts, inputs);
    const source = await context.readDockerfile(signal);
    const forwarded = await forward(bridge, opts, inputs, source, signal);
    if (forwarded !== undefined) return forwarded;
    if (missingCap !== undefined) throw missingCap;
    const request: BuildRequest = { config, context, source };
    const requestId = opts["requestid"];
    if (requestId !== undefined) return answer(requestId, request, signal);
    return build(request, signal).catch((error: unknown) => {
      throw explained(error, source);
    });
  }
}

interface BuildRequest {
  readonly config: BuildConfig;
  readonly context: BuildContext;
  readonly source: DockerfileSource;
}

/** Hands the build to the frontend image that the client or the file names, unless that is who we are. */
async function forward(
  bridge: LlbBridge,
  opts: Opts,
  inputs: Readonly<Record<string, Definition>>,
  source: DockerfileSource,
  signal: AbortSignal,
): Promise<FrontendResult | undefined> {
  if (opts["cmdline"] !== undefined) return undefined;
  const solve = (image: string, cmdline: string) =>
    bridge.solve(
      { frontend: "gateway.v0", frontendOpt: { ...opts, cmdline, source: image }, frontendInputs: inputs },
      signal,
    );
  const argument = opts["build-arg:BUILDKIT_SYNTAX"];
  if (argument !== undefined) {
    try {
      return await solve(argument.trim().split(" ", 1)[0] ?? "", argument);
    } catch (error) {
      if (hasSource(error)) throw error;
      throw BuildError.from(error).wrap(`failed with build-arg:BUILDKIT_SYNTAX = ${argument}`);
    }
  }
  const syntax = detectSyntax(source.sourceMap.data);
  if (syntax === undefined) return undefined;
  try {
    return await solve(syntax.value, syntax.commandLine);
  } catch (error) {
    if (hasSource(error)) throw error;
    throw withSource(error, source.info, syntax.location);
  }
}

function hasSource(error: unknown): boolean {
  return BuildError.from(error).details.some(({ typeUrl }) => typeUrl.endsWith("errdefs.Source+json"));
}

/** The error with the lines of each place it names. */
function explained(error: unknown, source: DockerfileSource): unknown {
  if (!(error instanceof DockerfileError)) return error;
  return error.locations.reduce<BuildError>((inner, location) => withSource(inner, source.info, location), error);
}

async function answer(id: string, request: BuildRequest, signal: AbortSignal): Promise<FrontendResult> {
  const { source, config } = request;
  const { data } = source.sourceMap;
  const warn = warningsTo(source);
  switch (id) {
    case describeRequest.name:
      return describeSubrequests();
    case targetsRequest.name:
      return listTargets(data);
    case outlineRequest.name: {
      const { stage } = await convertDockerfile({ ...request, warn }, signal);
      return outlineOf(stage, data);
    }
    case convertLlbRequest.name: {
      const conversion = await convertDockerfile({ ...request, warn }, signal);
      return convertLlbResult(await marshalConversion(conversion, signal));
    }
    case lintRequest.name: {
      const warnings: LintWarning[] = [];
      let failure: unknown;
      try {
        const allStages = config.target === "";
        await convertDockerfile({ ...request, allStages, warn: (warning) => warnings.push(warning) }, signal);
      } catch (error) {
        signal.throwIfAborted();
        failure = error;
      }
      return lintResult(warnings, failure, source.info);
    }
    default:
      throw new BuildError(Code.Unknown, `unsupported request ${id}`, {
        details: [
          {
            typeUrl: "github.com/moby/buildkit/errdefs.Subrequest+json",
            value: Buffer.from(JSON.stringify({ name: id })),
          },
        ],
      });
  }
}

function warningsTo(source: DockerfileSource): (warning: LintWarning) => void {
  return ({ ruleName, description, url, message, location }) => {
    const line = firstLine(location);
    const place = line > 0 ? ` (line ${line})` : "";
    source.warn({ level: 1, short: `${ruleName}: ${message}${place}`, detail: [description], url, ranges: location });
  };
}

function firstLine(location: readonly Range[]): number {
  return location[0]?.start?.line ?? 0;
}

function marshalConversion({ state, platform }: Conversion, signal: AbortSignal): Promise<Definition> {
  return inTurns(marshalSteps(state, { platform }), signal);
}

async function marshalOrExplain(conversion: Conversion, signal: AbortSignal): Promise<Definition> {
  try {
    return await marshalConversion(conversion, signal);
  } catch (error) {
    signal.throwIfAborted();
    throw BuildError.from(error).wrap("failed to marshal LLB definition");
  }
}

interface PlatformTask {
  /** Undefined: the client asked for none. */
  readonly target: Platform | undefined;
  /** One platform's warnings are everybody's. */
  readonly first: boolean;
  readonly scanner: SbomScanner | undefined;
}

interface PlatformResult {
  readonly id: string;
  readonly platform: Platform;
  readonly conversion: Conversion;
  readonly ref: BridgeRef | undefined;
  readonly attestation?: Attestation;
}

async function build(request: BuildRequest, signal: AbortSignal): Promise<FrontendResult> {
  const { targetPlatforms } = request.config;
  const targets = targetPlatforms.length === 0 ? [undefined] : targetPlatforms;
  const group = new AbortController();
  const either = AbortSignal.any([signal, group.signal]);
  const scanner = await loadScanner(request, signal);
  let failure: { readonly error: unknown } | undefined;
  const results = await Promise.all(
    targets.map(async (target, at) => {
      try {
        return await buildPlatform(request, { target, first: at === 0, scanner }, either);
      } catch (error) {
        failure ??= { error };
        group.abort(error);
        return undefined;
      }
    }),
  );
  if (failure !== undefined) throw failure.error;
  return collect(
    request.config,
    results.filter((result) => result !== undefined),
  );
}

async function buildPlatform(
  request: BuildRequest,
  { target, first, scanner }: PlatformTask,
  signal: AbortSignal,
): Promise<PlatformResult> {
  const { config, context, source } = request;
  const warn = first ? warningsTo(source) : undefined;
  const conversion = await convertDockerfile({ ...request, targetPlatform: target, warn }, signal);
  const definition = await marshalOrExplain(conversion, signal);
  const { ref } = await context.bridge.solve({ definition, cacheImports: config.cacheImports }, signal);
  const asked = normalizePlatform(target ?? hostPlatform());
  const id = formatPlatformFully(asked);
  const { state: core, scanExtras: extras, noCache } = conversion;
  const attestation = await scanner?.scan(id, { core, extras, noCache }, signal);
  return {
    id,
    platform: exportPlatform(asked, conversion),
    conversion,
    ref,
    ...(attestation === undefined ? {} : { attestation }),
  };
}

async function loadScanner({ config, context }: BuildRequest, signal: AbortSignal): Promise<SbomScanner | undefined> {
  if (config.sbom === undefined) return undefined;
  const [platform] = config.buildPlatforms;
  return SbomScanner.load(context, config.sbom, platform, config.imageResolveMode, signal);
}

/** A Windows platform without details takes those of the image. */
function exportPlatform(platform: Platform, { image }: Conversion): Platform {
  if (platform.os !== "windows" || image.platform.os !== "windows") return platform;
  return normalizePlatform({
    ...platform,
    osVersion: platform.osVersion || image.platform.osVersion,
    osFeatures: platform.osFeatures.length > 0 ? platform.osFeatures : image.platform.osFeatures,
  });
}

/** Refs and exporter metadata (map f11). */
function collect(config: BuildConfig, results: readonly PlatformResult[]): FrontendResult {
  const encoder = new TextEncoder();
  const metadata = new Map<string, Uint8Array>();
  const several = config.multiPlatformRequested;
  for (const { id, conversion } of results) {
    const suffix = several ? `/${id}` : "";
    metadata.set(`containerimage.config${suffix}`, encodeImage(conversion.image));
    if (conversion.baseImage !== undefined) {
      metadata.set(`containerimage.base.config${suffix}`, encodeImage(conversion.baseImage));
    }
    if (conversion.epoch !== undefined) {
      metadata.set(`source.date.epoch${suffix}`, encoder.encode(String(conversion.epoch)));
    }
  }
  const platforms = results.map(({ id, platform }) => ({ ID: id, Platform: platformJson(platform) }));
  metadata.set("refs.platforms", encoder.encode(goJson({ Platforms: platforms })));
  const attested = results.flatMap(({ id, attestation }) =>
    attestation === undefined ? [] : [[id, [attestation]] as const],
  );
  const attestations = attested.length === 0 ? {} : { attestations: new Map(attested) };
  if (several) return { refs: new Map(results.map(({ id, ref }) => [id, ref])), metadata, ...attestations };
  const ref = results[0]?.ref;
  return { ...(ref === undefined ? {} : { ref }), metadata, ...attestations };
}

function platformJson({ os, architecture, variant, osVersion, osFeatures }: Platform): object {
  return {
    architecture,
    os,
    ...(osVersion === "" ? {} : { "os.version": osVersion }),
    ...(osFeatures.length === 0 ? {} : { "os.features": osFeatures }),
    ...(variant === "" ? {} : { variant }),
  };
}
