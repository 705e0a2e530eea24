import type { Range } from "../../../api/gen/ops.ts";
import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import { type Platform, parsePlatform } from "../../../core/values/platform.ts";
import { PatternMatcher } from "../../../filesystem/index.ts";
import { DeferredOutput, type EnvList, type Output, State } from "../../../llb/builder/index.ts";
import { inTurns } from "../../../util/turns.ts";
import type { BuildConfig, BuildContext, DockerfileSource } from "../context/index.ts";
import { withLocation } from "../dockerfile-error.ts";
import { defaultPath, type ImageConfig, normalizeImagePlatform } from "../image/index.ts";
import { type Stage, stageSteps } from "../instructions/index.ts";
import { defaultLintConfig, Linter, type LintSink, lintRules, parseLintConfig } from "../lint/index.ts";
import { findDirective, parseSteps } from "../parser/index.ts";
import { type LexedWord, WordLexer } from "../shell/index.ts";
import { suggest } from "../suggest.ts";
import { parseBool } from "../text.ts";
import { BaseImageResolver } from "./base-images.ts";
import { BuildStage, followPaths, StageList } from "./build-stage.ts";
import {
  checkCommandCasing,
  checkDefaultBaseNames,
  checkPlatformFlag,
  checkStageNames,
  checkUndeclaredFromArgs,
  type IgnoreMatcher,
  scanContextArg,
  scanStageArg,
} from "./checks.ts";
import { dispatch } from "./dispatch.ts";
import type { DispatchContext } from "./dispatch-context.ts";
import { dispatchUser, setWorkdir } from "./dispatch-metadata.ts";
import { automaticArgs, choosePlatforms, evaluateGlobalArgs, type PlatformChoice, proxyEnvOf } from "./global-args.ts";
import { OutlineCapture } from "./outline-capture.ts";
import { epochArg, resolveEpoch } from "./source-date-epoch.ts";
import { addTriggers, linkStages } from "./stage-graph.ts";

export interface ConvertOptions {
  readonly config: BuildConfig;
  readonly context: BuildContext;
  readonly source: DockerfileSource;
  /** Undefined: the client asked for none. */
  readonly targetPlatform?: Platform | undefined;
  readonly warn?: LintSink | undefined;
  /** Convert stages that are not needed for the target, too. */
  readonly allStages?: boolean;
}

/** A Dockerfile's target as LLB and image. */
export interface Conversion {
  /** With its outline. */
  readonly stage: BuildStage;
  readonly state: State;
  readonly image: ImageConfig;
  /** Config of the base image as pulled. */
  readonly baseImage: ImageConfig | undefined;
  /** Of ops that name none. */
  readonly platform: Platform;
  /** Unix seconds. */
  readonly epoch: number | undefined;
  /** What is to be scanned beside the state itself, if an SBOM is wanted. */
  readonly scanExtras: ReadonlyMap<string, State>;
  /** Scans are not to come from the cache. */
  readonly noCache: boolean;
}

/**
 * Converts a Dockerfile for one platform (map e8–e17, e22–e28; BuildKit frontend/dockerfile/dockerfile2llb).
 *
 * @throws DockerfileError with the lines at fault, or another BuildError
 */
export async function convertDockerfile(options: ConvertOptions, signal: AbortSignal): Promise<Conversion> {
  const { config, context, source } = options;
  const { data } = source.sourceMap;
  if (data.length === 0) throw new BuildError(Code.Unknown, "the Dockerfile cannot be empty");
  const lint = makeLinter(options);
  const ast = await inTurns(parseSteps(data), signal);
  for (const warning of ast.warnings) {
    if (warning.url === lintRules.noEmptyContinuation.url) lint.run(lintRules.noEmptyContinuation, [warning.location]);
  }
  const { stages, metaArgs } = await inTurns(stageSteps(ast, lint), signal);
  if (stages.length === 0) throw new BuildError(Code.Unknown, "dockerfile contains no stages to build");
  checkStageNames(stages, lint);
  checkCommandCasing(stages, lint);

  const platforms = choosePlatforms(config, options.targetPlatform);
  const automatic = automaticArgs(platforms, config.buildArgs, config.target || (stages.at(-1)?.name ?? ""));
  const lexer = new WordLexer({ escapeToken: ast.escapeToken });
  checkDefaultBaseNames(stages, lexer, automatic, metaArgs, lint);
  const global = evaluateGlobalArgs(automatic, lexer, metaArgs, config.buildArgs);

  const epochOptions = { context, stages, buildArgs: config.buildArgs, globalArgs: global.env, lexer };
  const epoch = await resolveEpochArg(epochOptions, signal);
  const outline = new OutlineCapture();
  for (const [name, info] of global.args) outline.args.set(name, info);

  const list = new StageList();
  const conversion = new StageConversion({
    ...options,
    ...epoch,
    platforms,
    lexer,
    lint,
    outline,
    escapeToken: ast.escapeToken,
    list,
    bases: new BaseImageResolver({
      config,
      context,
      platforms,
      targetPlatform: options.targetPlatform,
      stages: list,
      sourceMap: source.sourceMap,
      lint,
    }),
  });
  conversion.addStages(stages);
  return conversion.convert(signal);
}

function makeLinter({ config, source, warn }: ConvertOptions): Linter {
  let lintConfig = config.lintConfig;
  if (lintConfig === undefined) {
    const directive = findDirective("check", source.sourceMap.data);
    try {
      lintConfig = directive === undefined ? defaultLintConfig : parseLintConfig(directive.value);
    } catch (error) {
      throw BuildError.from(error).wrap("failed to parse check options");
    }
  }
  return new Linter(lintConfig, warn);
}

interface EpochArg {
  readonly epoch: number | undefined;
  readonly buildArgs: ReadonlyMap<string, string>;
  readonly globalArgs: EnvList;
}

/** Replaces SOURCE_DATE_EPOCH among the args by its value in seconds; an empty one vanishes. */
async function resolveEpochArg(options: Parameters<typeof resolveEpoch>[1], signal: AbortSignal): Promise<EpochArg> {
  const { buildArgs, globalArgs } = options;
  const value = buildArgs.get(epochArg) ?? (globalArgs.get(epochArg) || undefined);
  if (value === undefined) return { epoch: undefined, buildArgs, globalArgs };
  const epoch = await resolveEpoch(value, options, signal);
  const args = new Map(buildArgs);
  let env = globalArgs;
  if (epoch === undefined) {
    args.delete(epochArg);
    env = env.delete(epochArg);
  } else {
    if (args.has(epochArg)) args.set(epochArg, String(epoch));
    if (env.has(epochArg)) env = env.set(epochArg, String(epoch));
  }
  return { epoch, buildArgs: args, globalArgs: env };
}

interface StageConversionOptions extends ConvertOptions, EpochArg {
  readonly platforms: PlatformChoice;
  readonly lexer: WordLexer;
  readonly escapeToken: DispatchContext["escapeToken"];
  readonly lint: Linter;
  readonly outline: OutlineCapture;
  readonly list: StageList;
  readonly bases: BaseImageResolver;
}

class StageConversion {
  readonly #options: StageConversionOptions;

  constructor(options: StageConversionOptions) {
    this.#options = options;
  }

  addStages(definitions: readonly Stage[]): void {
    for (const [index, definition] of definitions.entries()) this.#addStage(definition, index);
  }

  #addStage(definition: Stage, index: number): void {
    const { lexer, globalArgs, outline, list, config, bases } = this.#options;
    const lint = this.#options.lint.withComments(definition.comments);
    const { location } = definition;
    const declared = new Set([...globalArgs.keys(), ...outline.args.keys()]);
    const base = located(location, () => lexer.processWord(definition.baseName, globalArgs));
    checkUndeclaredFromArgs(declared, base.unmatched, location, lint);
    if (base.result === "") {
      const error = new BuildError(Code.Unknown, `base name (${definition.baseName}) should not be blank`);
      throw withLocation(error, location);
    }

    const stage = new BuildStage(definition, {
      name: definition.name || `stage-${index}`,
      prefixPlatform: config.multiPlatformRequested,
      outline: outline.clone(),
    });
    stage.baseName = base.result;
    const used = new Set(base.matched);
    if (definition.platform !== "") {
      for (const name of this.#setPlatform(stage, declared, lint)) used.add(name);
    }
    if (definition.name !== "") {
      const named = bases.namedContext(stage, definition.name, stage.platform);
      if (named !== undefined) {
        stage.namedContext = named;
        list.add(stage);
        stage.base = undefined;
        return;
      }
    }
    list.add(stage);
    for (const name of used) stage.outline.usedArgs.add(name);
    stage.stepTotal =
      (stage.baseName !== "scratch" && stage.base === undefined ? 1 : 0) +
      definition.commands.filter(({ kind }) => ["add", "copy", "run", "workdir"].includes(kind)).length;
    stage.noCache = isNoCache(config, definition.name);
  }

  /** @returns names of the variables that `--platform` uses */
  #setPlatform(stage: BuildStage, declared: ReadonlySet<string>, lint: Linter): Iterable<string> {
    const { lexer, globalArgs } = this.#options;
    const { platform: written, location } = stage.definition;
    let lexed: LexedWord;
    try {
      lexed = lexer.processWord(written, globalArgs);
    } catch (error) {
      throw withLocation(BuildError.from(error).wrap("failed to process arguments for platform "), location);
    }
    checkUndeclaredFromArgs(declared, lexed.unmatched, location, lint);
    checkPlatformFlag(stage.definition, lexed, globalArgs, lint);
    const hint = hintFor(lexed.unmatched, globalArgs.keys());
    if (lexed.result === "") {
      throw withLocation(
        new BuildError(Code.Unknown, `empty platform value from expression ${written}${hint}`),
        location,
      );
    }
    try {
      stage.platform = parsePlatform(lexed.result);
    } catch (error) {
      const { code, message } = BuildError.from(error);
      const failure = new BuildError(code, `failed to parse platform ${written}: ${message}${hint}`);
      // BuildKit says it twice.
      throw withLocation(withLocation(failure, location), location);
    }
    return lexed.matched;
  }

  async convert(signal: AbortSignal): Promise<Conversion> {
    const { list, lexer, config, platforms, epoch } = this.#options;
    const target = this.#target();
    linkStages(list, lexer);
    const reachable = await this.#resolveStages(target, signal);
    const buildContext = new LateState();
    const contextPaths = await this.#dispatchStages(reachable, buildContext.state, signal);
    // All of the target is used; noted now because paths are shared with base stages.
    target.paths.add("/");

    for (const [key, value] of config.labels) target.image.config.labels.set(key, value);
    const violation = this.#options.lint.error();
    if (violation !== undefined) throw violation;
    const main = await this.#options.context.mainContext(followPaths(contextPaths), signal);
    buildContext.output = main.output;
    setImagePlatform(target.image, platforms);
    return {
      stage: target,
      state: target.state,
      image: target.image,
      baseImage: target.baseImage,
      platform: platforms.target,
      epoch,
      ...scanTargets(target, buildContext.state),
    };
  }

  #target(): BuildStage {
    const { config, list } = this.#options;
    const stage = config.target === "" ? list.all.at(-1) : list.byName(config.target);
    if (stage !== undefined) return stage;
    const match = suggest(config.target, list.names(), { caseSensitive: true });
    throw new BuildError(
      Code.Unknown,
      `target stage ${JSON.stringify(config.target)} could not be found${match === undefined ? "" : ` (did you mean ${match}?)`}`,
    );
  }

  /** Resolves base images until their triggers ask for no further stages. */
  async #resolveStages(target: BuildStage, signal: AbortSignal): Promise<ReadonlySet<BuildStage>> {
    const { bases, list, lexer, allStages } = this.#options;
    for (;;) {
      const reachable = target.reachable();
      await bases.resolveAll(allStages ? new Set(list.all) : reachable, signal);
      let more = false;
      for (const stage of reachable) {
        stage.inherit();
        const triggers = [...stage.image.config.onBuild];
        if (stage.base !== undefined && !stage.onBuildRead) {
          for (const { command } of stage.base.commands) {
            if (command.kind === "onbuild") triggers.push(command.expression);
          }
          stage.onBuildRead = true;
        }
        if (triggers.length === 0) continue;
        if (addTriggers(stage, triggers, list, lexer)) more = true;
        stage.image.config.onBuild = [];
      }
      if (!more) return reachable;
    }
  }

  /** @returns paths used of the build context */
  async #dispatchStages(
    reachable: ReadonlySet<BuildStage>,
    buildContext: State,
    signal: AbortSignal,
  ): Promise<ReadonlySet<string>> {
    const { list, allStages, config } = this.#options;
    const context: DispatchContext = {
      ...this.#options,
      buildContext,
      ignoreMatcher: await this.#ignoreMatcher(signal),
      proxyEnv: proxyEnvOf(config.buildArgs),
      sourceMap: this.#options.source.sourceMap,
    };
    const stages = list.all.filter((stage) => allStages || (reachable.has(stage) && !stage.dispatched));
    const contextPaths = new Set<string>();
    for (const stage of stages) {
      await inTurns(this.#dispatchSteps(stage, context), signal);
      for (const path of stage.contextPaths) contextPaths.add(path);
    }
    return contextPaths;
  }

  /** Command by command. */
  *#dispatchSteps(stage: BuildStage, context: DispatchContext): Generator<void, void> {
    stage.inherit();
    stage.dispatched = true;
    this.#startStage(stage);
    for (const command of stage.commands) {
      located(command.command.location, () => dispatch(stage, command, context));
      yield;
    }
    stage.scanContext = this.#wantsScan(stage, scanContextArg);
    stage.scanStage = this.#wantsScan(stage, scanStageArg);
  }

  /** The arg is a boolean or a list of stages; one given in the stage wins. */
  #wantsScan(stage: BuildStage, arg: string): boolean {
    const own = stage.buildArgs.findLast(({ key, value }) => key === arg && value !== undefined);
    const value = own?.value ?? this.#options.globalArgs.get(arg);
    if (value === undefined) return false;
    return parseBool(value) ?? value.split(",").includes(stage.name);
  }

  /** The settings a stage has from its image. */
  #startStage(stage: BuildStage): void {
    const { config, platforms } = this.#options;
    stage.platform ??= platforms.target;
    const image = stage.image.config;
    if (!image.env.has("PATH") && stage.platform.os !== "windows") image.env.set("PATH", defaultPath);
    stage.state = stage.state.withEnvs(image.env.pairs());
    if (config.hostname !== "") stage.state = stage.state.withHostname(config.hostname);
    located(stage.definition.location, () => {
      if (image.workingDir !== "") setWorkdir(stage, image.workingDir);
      if (image.user !== "") dispatchUser(stage, image.user);
    });
    stage.state = stage.state.withNetwork(config.networkMode);
  }

  async #ignoreMatcher(signal: AbortSignal): Promise<IgnoreMatcher | undefined> {
    const patterns = await this.#options.context.ignorePatterns(signal);
    if (patterns.length === 0) return undefined;
    const matcher = new PatternMatcher(patterns);
    return { patterns, matches: (path) => matcher.matches(path) };
  }
}

function scanTargets(target: BuildStage, buildContext: State): Pick<Conversion, "scanExtras" | "noCache"> {
  const stages = [...target.reachable()].filter((stage) => stage !== target && stage.scanStage);
  const scanExtras = new Map(stages.map((stage) => [stage.name, stage.state]));
  if (target.scanContext) scanExtras.set("context", buildContext);
  return { scanExtras, noCache: [target, ...stages].some((stage) => stage.noCache) };
}

/** A state whose files are known only once everything that uses it is. */
class LateState {
  output: Output | undefined;
  readonly state = State.of(new DeferredOutput(() => this.output));
}

function setImagePlatform(image: ImageConfig, { target, implicit }: PlatformChoice): void {
  if (!implicit) {
    const { os, architecture, variant, osVersion, osFeatures } = image.platform;
    const same = target.os === os && target.architecture === architecture;
    image.platform = {
      os: target.os,
      architecture: target.architecture,
      variant: target.variant !== "" || !same ? target.variant : variant,
      osVersion: target.osVersion !== "" || !same ? target.osVersion : osVersion,
      osFeatures: target.osFeatures.length > 0 ? target.osFeatures : osFeatures,
    };
  }
  normalizeImagePlatform(image);
}

function isNoCache({ noCacheStages }: BuildConfig, name: string): boolean {
  if (noCacheStages === undefined) return false;
  return noCacheStages.length === 0 || noCacheStages.some((stage) => stage.toLowerCase() === name.toLowerCase());
}

function hintFor(names: Iterable<string>, options: readonly string[]): string {
  for (const name of names) {
    const match = suggest(name, options, { caseSensitive: true });
    if (match !== undefined) return ` (did you mean ${match}?)`;
  }
  return "";
}

function located<T>(location: readonly Range[], work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw withLocation(error, location);
  }
}
