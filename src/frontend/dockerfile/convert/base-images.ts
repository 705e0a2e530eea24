import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import { normalizePlatform, type Platform } from "../../../core/values/platform.ts";
import type { SourceMap } from "../../../llb/builder/index.ts";
import {
  formatReference,
  type ImageReference,
  image,
  parseReference,
  scratch,
  withDefaultTag,
} from "../../../llb/builder/index.ts";
import { type BuildConfig, type BuildContext, findNamedContext, type NamedContext } from "../context/index.ts";
import { withLocation } from "../dockerfile-error.ts";
import { cloneImage, emptyImage, formatPlatformFully, type ImageConfig, parseImage } from "../image/index.ts";
import type { Linter } from "../lint/index.ts";
import { emptyEnv } from "../shell/index.ts";
import { withSuggestion } from "../suggest.ts";
import type { BuildStage, StageList } from "./build-stage.ts";
import { checkBaseImagePlatform } from "./checks.ts";
import type { PlatformChoice } from "./global-args.ts";
import { nextStepPrefix } from "./vertex-names.ts";

const commonImages = ["alpine", "busybox", "centos", "debian", "golang", "ubuntu", "fedora"].flatMap((name) => [
  name,
  `docker.io/library${name}`,
  `${name}:latest`,
  `docker.io/library${name}:latest`,
]);

export interface BaseImageOptions {
  readonly config: BuildConfig;
  readonly context: BuildContext;
  readonly platforms: PlatformChoice;
  /** Undefined: the client asked for none. */
  readonly targetPlatform: Platform | undefined;
  readonly stages: StageList;
  readonly sourceMap: SourceMap;
  readonly lint: Linter;
}

/** Finds what the stages without a base stage start from: scratch, named contexts, images. */
export class BaseImageResolver {
  readonly #options: BaseImageOptions;

  constructor(options: BaseImageOptions) {
    this.#options = options;
  }

  /** Named context for a stage or image; `scratch` and `context` cannot be replaced. */
  namedContext(stage: BuildStage, name: string, platform: Platform | undefined): NamedContext | undefined {
    if (["scratch", "context"].includes(name.toLowerCase())) return undefined;
    const { context, config, targetPlatform } = this.#options;
    return findNamedContext(context, name, {
      platform: platform ?? targetPlatform,
      resolveMode: config.imageResolveMode,
      localOptions: () => stage.localOptions(),
    });
  }

  /** Resolves all at once those of the stages that are wanted; the others only get checked names. */
  async resolveAll(wanted: ReadonlySet<BuildStage>, signal: AbortSignal): Promise<void> {
    const group = new AbortController();
    const either = AbortSignal.any([signal, group.signal]);
    const open = this.#options.stages.all.filter(
      (stage) => stage.base === undefined && !stage.dispatched && !stage.resolved,
    );
    let failure: { readonly error: unknown } | undefined;
    await Promise.all(
      open.map(async (stage) => {
        try {
          await this.#resolve(stage, wanted.has(stage), either);
        } catch (error) {
          failure ??= { error };
          group.abort(error);
        }
      }),
    );
    if (failure !== undefined) throw failure.error;
  }

  async #resolve(stage: BuildStage, wanted: boolean, signal: AbortSignal): Promise<void> {
    stage.resolved = wanted; // asked again when a trigger makes it wanted
    if (stage.baseName === "scratch" && stage.namedContext === undefined) {
      const { target } = this.#options.platforms;
      stage.state = scratch();
      stage.image = emptyImage(target);
      stage.platform = target;
      if (stage.unregistered) stage.dispatched = true;
      return;
    }
    try {
      await this.#resolveImage(stage, wanted, signal);
    } catch (error) {
      throw withLocation(error, stage.definition.location);
    } finally {
      if (stage.unregistered) stage.dispatched = true;
    }
  }

  async #resolveImage(stage: BuildStage, wanted: boolean, signal: AbortSignal): Promise<void> {
    const written = stage.baseName;
    const reference = parseBaseName(written);
    stage.baseName = formatReference(withDefaultTag(reference));
    let platform = stage.platform ?? this.#options.platforms.target;
    let empty = false;
    if (wanted) {
      if (await this.#useNamedContext(stage, platform, signal)) return;
      const { config, digest, name } = await this.#resolveMetadata(stage.baseName, written, platform, signal);
      stage.baseImage = cloneImage(config);
      config.created = undefined;
      stage.image = config;
      if (stage.platform === undefined && this.#options.platforms.implicit) {
        platform = supportedPlatform(config, platform, this.#options.platforms.build);
      }
      stage.baseName = formatReference({ ...name, digest });
      empty = isEmptyImage(config);
    }
    stage.state = empty ? scratch() : this.#imageState(stage, platform);
    if (!empty && wanted) {
      const { location } = stage.definition;
      checkBaseImagePlatform(written, platform, stage.image.platform, location, this.#options.lint);
    }
    stage.platform = platform;
  }

  #imageState(stage: BuildStage, platform: Platform) {
    const { config, sourceMap } = this.#options;
    const { code, location } = stage.definition;
    return image(stage.baseName, {
      description: { "com.docker.dockerfile.v1.command": code },
      platform,
      resolveMode: config.imageResolveMode,
      customName: `${nextStepPrefix(stage, platform, emptyEnv)}FROM ${stage.baseName}`,
      locations: [{ sourceMap, ranges: location }],
    });
  }

  async #useNamedContext(stage: BuildStage, platform: Platform, signal: AbortSignal): Promise<boolean> {
    if (stage.namedContext !== undefined) {
      const loaded = await stage.namedContext.load(signal);
      stage.dispatched = true;
      stage.state = loaded.state;
      if (loaded.image === undefined) return true;
      stage.image = cloneImage(loaded.image);
      stage.image.created = undefined;
      const own = loaded.image.platform;
      if (own.os !== "" && own.architecture !== "") stage.platform = normalizePlatform(own);
      return true;
    }
    const named = this.namedContext(stage, stage.baseName, platform);
    if (named === undefined) return false;
    const loaded = await named.load(signal);
    const config = loaded.image ?? emptyImage(platform);
    stage.baseImage = cloneImage(config);
    stage.image = cloneImage(config);
    stage.image.created = undefined;
    stage.state = loaded.state.withPlatform(platform);
    stage.platform = platform;
    return true;
  }

  async #resolveMetadata(
    reference: string,
    written: string,
    platform: Platform,
    signal: AbortSignal,
  ): Promise<{ readonly config: ImageConfig; readonly digest: string; readonly name: ImageReference }> {
    const { config, context, stages } = this.#options;
    const prefix = config.multiPlatformRequested ? `[${formatPlatformFully(platform)} internal]` : "[internal]";
    try {
      const resolved = await context.resolveImage(
        {
          reference,
          platform,
          logName: `${prefix} load metadata for ${reference}`,
          resolveMode: config.imageResolveMode,
        },
        signal,
      );
      if (resolved.kind === "other") {
        throw new BuildError(
          Code.Unknown,
          `ref mutated by policy to non-image: docker-image://${reference} -> ${resolved.identifier}`,
        );
      }
      return {
        config: parseImage(resolved.config),
        digest: resolved.digest,
        name: parseReference(resolved.reference),
      };
    } catch (error) {
      const wrapped = BuildError.from(error).wrap(written);
      const message = withSuggestion(wrapped.message, written, [...stages.names(), ...commonImages]);
      throw new BuildError(wrapped.code, message, {
        cause: wrapped,
        details: wrapped.details,
        infrastructure: wrapped.infrastructure,
      });
    }
  }
}

function parseBaseName(text: string): ImageReference {
  try {
    return parseReference(text);
  } catch (error) {
    throw BuildError.from(error).wrap(`failed to parse stage name ${JSON.stringify(text)}`);
  }
}

/** No layers, as far as the config tells. */
function isEmptyImage(config: ImageConfig): boolean {
  return (config.rootfs.diffIds ?? []).length === 0 && config.history.every((entry) => entry.empty_layer);
}

/** The platform of the image, if steps can run on it here. */
function supportedPlatform(config: ImageConfig, target: Platform, supported: readonly Platform[]): Platform {
  const { os, architecture } = config.platform;
  const fits = (platform: Platform) => platform.os === os && platform.architecture === architecture;
  return fits(target) ? target : (supported.find(fits) ?? target);
}
