import type { Range } from "../../../api/gen/ops.ts";
import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import { normalizePlatform, type Platform, parsePlatform } from "../../../core/values/platform.ts";
import { cleanPath, type EnvList, parseReference } from "../../../llb/builder/index.ts";
import { withLocation } from "../dockerfile-error.ts";
import { formatPlatformFully } from "../image/index.ts";
import type { ArgCommand, Command, Stage } from "../instructions/index.ts";
import { type Linter, lintRules } from "../lint/index.ts";
import type { EnvLookup, LexedWord, WordLexer } from "../shell/index.ts";
import { suggest } from "../suggest.ts";
import type { BuildStage } from "./build-stage.ts";
import { evaluateGlobalArgs } from "./global-args.ts";

export const scanContextArg = "BUILDKIT_SBOM_SCAN_CONTEXT";
export const scanStageArg = "BUILDKIT_SBOM_SCAN_STAGE";
/** Build args that steer the build and never become variables. */
export const nonEnvArgs: ReadonlySet<string> = new Set([scanContextArg, scanStageArg]);

type Location = readonly Range[];

export function checkStageNames(stages: readonly Stage[], lint: Linter): void {
  const seen = new Set<string>();
  for (const { name, location } of stages) {
    if (name === "") continue;
    if (name === "context" || name === "scratch") lint.run(lintRules.reservedStageName, location, name);
    if (seen.has(name)) lint.run(lintRules.duplicateStageName, location, name);
    seen.add(name);
  }
}

/** All instructions should be written like most are, in capitals when it is a tie. */
export function checkCommandCasing(stages: readonly Stage[], lint: Linter): void {
  const written = stages.flatMap(({ instruction, location, commands }) => [
    { name: instruction, location },
    ...commands.map((command) => ({ name: command.name, location: command.location })),
  ]);
  const lower = written.filter(({ name }) => name === name.toLowerCase()).length;
  const upper = written.filter(({ name }) => name !== name.toLowerCase() && name === name.toUpperCase()).length;
  const casing = lower > upper ? "lowercase" : "uppercase";
  for (const { name, location } of written) {
    const wanted = casing === "lowercase" ? name.toLowerCase() : name.toUpperCase();
    if (name !== wanted) lint.run(lintRules.consistentInstructionCasing, location, name, casing);
  }
}

/** Base names must be valid with the defaults of the global args alone. */
export function checkDefaultBaseNames(
  stages: readonly Stage[],
  lexer: WordLexer,
  automatic: EnvList,
  globalArgs: readonly ArgCommand[],
  lint: Linter,
): void {
  try {
    const { env } = evaluateGlobalArgs(automatic, lexer, globalArgs, new Map());
    for (const stage of stages) {
      const { result } = lexer.processWord(stage.baseName, env);
      if (!isReference(result)) lint.run(lintRules.invalidDefaultArgInFrom, stage.location, stage.baseName);
    }
  } catch {
    // The conversion itself reports words which do not expand.
  }
}

function isReference(text: string): boolean {
  try {
    parseReference(text);
    return true;
  } catch {
    return false;
  }
}

export function checkUndeclaredFromArgs(
  declared: ReadonlySet<string>,
  unmatched: Iterable<string>,
  location: Location,
  lint: Linter,
): void {
  for (const name of unmatched) {
    if (declared.has(name)) continue;
    const hint = suggest(name, declared, { caseSensitive: true }) ?? "";
    lint.run(lintRules.undefinedArgInFrom, location, name, hint);
  }
}

export function checkPlatformFlag(stage: Stage, lexed: LexedWord, env: EnvLookup, lint: Linter): void {
  const { location } = stage;
  const [only] = lexed.matched;
  if (lexed.matched.size === 1 && lexed.unmatched.size === 0 && only === "TARGETPLATFORM") {
    if (lexed.result === env.get(only)) lint.run(lintRules.redundantTargetPlatform, location, stage.platform);
  }
  if (lexed.matched.size > 0 || lexed.unmatched.size > 0) return;
  let platform: Platform;
  try {
    platform = parsePlatform(lexed.result);
  } catch {
    return; // reported by the conversion
  }
  if (stage.name.includes(platform.os) || stage.name.includes(platform.architecture)) return;
  lint.run(lintRules.fromPlatformFlagConstDisallowed, location, lexed.result);
}

export function checkBaseImagePlatform(
  name: string,
  expected: Platform,
  actual: Platform,
  location: Location,
  lint: Linter,
): void {
  if (expected.os === actual.os && expected.architecture === actual.architecture) return;
  const [wanted, found] = [expected, actual].map((platform) => formatPlatformFully(normalizePlatform(platform)));
  lint.run(lintRules.invalidBaseImagePlatform, location, name, wanted ?? "", found ?? "");
}

/** Expands a word with the variables of a stage, and reports those that are not there, be it well formed or not. */
export function expandChecked(
  word: string,
  { lexer, stage, location, lint }: { lexer: WordLexer; stage: BuildStage; location: Location; lint: Linter },
): string {
  const { env } = stage.state;
  const missing = new Set<string>();
  const get = (name: string) => {
    const value = env.get(name);
    if (value === undefined) missing.add(name);
    return value;
  };
  try {
    return lexer.processWord(word, { get, keys: () => env.keys() }).result;
  } finally {
    checkUndefinedVariables(missing, stage, location, lint);
  }
}

function checkUndefinedVariables(
  unmatched: ReadonlySet<string>,
  stage: BuildStage,
  location: Location,
  lint: Linter,
): void {
  if (unmatched.size === 0) return;
  const { env } = stage.state;
  const declared = new Set(stage.buildArgs.map(({ key }) => key));
  for (const name of unmatched) {
    if (declared.has(name) || nonEnvArgs.has(name)) continue;
    lint.run(lintRules.undefinedVar, location, name, suggest(name, env.keys(), { caseSensitive: true }) ?? "");
  }
}

/** Of CMD, ENTRYPOINT and HEALTHCHECK only the last of a stage counts: the one before is reported. */
export function checkUsedOnce(
  stage: BuildStage,
  command: Command & { readonly kind: "cmd" | "entrypoint" | "healthcheck" },
  lint: Linter,
): void {
  const before = stage.lastUse.get(command.kind);
  if (before !== undefined) lint.run(lintRules.multipleInstructionsDisallowed, before, command.name);
  stage.lastUse.set(command.kind, command.location);
}

const secretWord = /(?:_|^)(?:apikey|auth|credential|credentials|key|password|pword|passwd|secret|token)(?:_|$)/i;
const harmlessWord = /(?:_|^)(?:public|file|version)(?:_|$)/i;

export function checkSecretName(instruction: "ARG" | "ENV", key: string, location: Location, lint: Linter): void {
  if (secretWord.test(key) && !harmlessWord.test(key)) {
    lint.run(lintRules.secretsUsedInArgOrEnv, location, instruction, key);
  }
}

/** What the check of copied paths needs of an ignore file. */
export interface IgnoreMatcher {
  readonly patterns: readonly string[];
  matches(path: string): boolean;
}

/** Not checked when a pattern makes exceptions: something inside an ignored directory may be wanted. */
export function checkCopySource(
  source: string,
  instruction: "Copy" | "Add",
  matcher: IgnoreMatcher | undefined,
  location: Location,
  lint: Linter,
): void {
  if (matcher === undefined || matcher.patterns.some((pattern) => pattern.startsWith("!"))) return;
  const path = cleanPath(source);
  const root = path === "." || path === "/";
  if (root && !matcher.patterns.some((pattern) => ["*", "**", "**/*"].includes(pattern))) return;
  if (matcher.matches(path)) lint.run(lintRules.copyIgnoredFile, location, instruction, path);
}

/** @throws DockerfileError naming the instructions which lead around the circle */
export function checkCircularDependencies(stages: readonly BuildStage[]): void {
  const visited = new Set<BuildStage>();
  for (const start of stages) {
    const circle = findCircle(start, visited);
    if (circle === undefined) continue;
    const error = new BuildError(Code.Unknown, `circular dependency detected on stage: ${start.name}`);
    // The first step of the circle comes first.
    throw circle.reduceRight<BuildError>((inner, command) => withLocation(inner, command.location), error);
  }
}

/** The commands that lead from a stage back to one on the way; a walk without recursion, as there may be thousands of stages. */
function findCircle(start: BuildStage, visited: Set<BuildStage>): readonly Command[] | undefined {
  const enter = (stage: BuildStage, command?: Command) => {
    visited.add(stage);
    return { stage, command, rest: stage.deps.entries() };
  };
  const path = visited.has(start) ? [] : [enter(start)];
  const onPath = new Set([start]);
  for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
    const next = top.rest.next();
    if (next.done) {
      onPath.delete(top.stage);
      path.pop();
      continue;
    }
    const [dependency, command] = next.value;
    if (onPath.has(dependency)) return [...path.flatMap((step) => step.command ?? []), command];
    if (visited.has(dependency)) continue;
    onPath.add(dependency);
    path.push(enter(dependency, command));
  }
  return undefined;
}
