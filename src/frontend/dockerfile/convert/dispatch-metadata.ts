import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import { FileAction, parseOwnership } from "../../../llb/builder/index.ts";
import { formatDuration, formatList, formatQuotedList } from "../image/index.ts";
import type {
  ArgCommand,
  CmdCommand,
  EntrypointCommand,
  EnvCommand,
  ExposeCommand,
  HealthcheckCommand,
  KeyValue,
  LabelCommand,
  StopsignalCommand,
  VolumeCommand,
  WorkdirCommand,
} from "../instructions/index.ts";
import { lintRules } from "../lint/index.ts";
import type { BuildStage } from "./build-stage.ts";
import { checkSecretName, checkUsedOnce, expandChecked, nonEnvArgs } from "./checks.ts";
import { type DispatchContext, locationsOf, withShell } from "./dispatch-context.ts";
import { parseExposedPorts } from "./expose-ports.ts";
import { addHistory } from "./history.ts";
import { isAbsolute, normalizeWorkdir, toSlash } from "./os-path.ts";
import { nextStepPrefix, stepText } from "./vertex-names.ts";

/** Instructions which change settings rather than files (WORKDIR does both). */

export function dispatchEnv(stage: BuildStage, command: EnvCommand, context: DispatchContext): void {
  for (const pair of command.env) {
    checkDelimiter(pair, command, context);
    checkSecretName("ENV", pair.key, command.location, context.lint);
    stage.state = stage.state.withEnv(pair.key, pair.value);
    stage.image.config.env.set(pair.key, pair.value);
  }
  addHistory(stage, `ENV${pairsText(command.env)}`, context.epoch);
}

export function dispatchLabel(stage: BuildStage, command: LabelCommand, context: DispatchContext): void {
  for (const pair of command.labels) {
    checkDelimiter(pair, command, context);
    stage.image.config.labels.set(pair.key, pair.value);
  }
  addHistory(stage, `LABEL${pairsText(command.labels)}`, context.epoch);
}

function pairsText(pairs: readonly KeyValue[]): string {
  return pairs.map(({ key, value }) => ` ${key}=${value}`).join("");
}

function checkDelimiter(pair: KeyValue, command: EnvCommand | LabelCommand, { lint }: DispatchContext): void {
  if (pair.noDelimiter) lint.run(lintRules.legacyKeyValueFormat, command.location, command.name);
}

export function dispatchCmd(stage: BuildStage, command: CmdCommand, context: DispatchContext): void {
  checkUsedOnce(stage, command, context.lint);
  const { config } = stage.image;
  config.cmd = commandLine(stage, command, context);
  config.argsEscaped = true;
  addHistory(stage, `CMD ${formatQuotedList(config.cmd)}`, context.epoch);
}

export function dispatchEntrypoint(stage: BuildStage, command: EntrypointCommand, context: DispatchContext): void {
  checkUsedOnce(stage, command, context.lint);
  const { config } = stage.image;
  config.entrypoint = commandLine(stage, command, context);
  // The base image's CMD was meant for its own entrypoint.
  if (!stage.lastUse.has("cmd")) config.cmd = [];
  addHistory(stage, `ENTRYPOINT ${formatQuotedList(config.entrypoint)}`, context.epoch);
}

function commandLine(
  stage: BuildStage,
  command: CmdCommand | EntrypointCommand,
  { lint }: DispatchContext,
): readonly string[] {
  if (!command.prependShell) return command.commandLine;
  if (stage.image.config.shell.length === 0) lint.run(lintRules.jsonArgsRecommended, command.location, command.name);
  return withShell(stage, command.commandLine);
}

export function dispatchHealthcheck(stage: BuildStage, command: HealthcheckCommand, context: DispatchContext): void {
  checkUsedOnce(stage, command, context.lint);
  const { health } = command;
  stage.image.config.healthcheck = health;
  const fields = [
    `Test:${formatList(health.test)}`,
    `Interval:${formatDuration(health.intervalNanos)}`,
    `Timeout:${formatDuration(health.timeoutNanos)}`,
    `StartPeriod:${formatDuration(health.startPeriodNanos)}`,
    `StartInterval:${formatDuration(health.startIntervalNanos)}`,
    `Retries:${health.retries}`,
  ];
  addHistory(stage, `HEALTHCHECK {${fields.join(" ")}}`, context.epoch);
}

export function dispatchExpose(stage: BuildStage, command: ExposeCommand, context: DispatchContext): void {
  const specs = command.ports.flatMap((port) => context.lexer.processWords(port, stage.state.env));
  const ports = parseExposedPorts(specs, command.location, context.lint);
  for (const port of ports) stage.image.config.exposedPorts.add(port);
  addHistory(stage, `EXPOSE ${formatList(ports)}`, context.epoch);
}

export function dispatchVolume(stage: BuildStage, command: VolumeCommand, context: DispatchContext): void {
  for (const volume of command.volumes) {
    if (volume === "") throw new BuildError(Code.Unknown, "VOLUME specified can not be an empty string");
    stage.image.config.volumes.add(volume);
  }
  addHistory(stage, `VOLUME ${formatList(command.volumes)}`, context.epoch);
}

const signalNames = new Set(
  (
    "ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS TERM TRAP " +
    "TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN RTMAX"
  ).split(" "),
);

export function dispatchStopsignal(stage: BuildStage, command: StopsignalCommand, context: DispatchContext): void {
  if (!isSignal(command.signal)) throw new BuildError(Code.Unknown, `invalid signal: ${command.signal}`);
  stage.image.config.stopSignal = command.signal;
  addHistory(stage, `STOPSIGNAL ${command.signal}`, context.epoch);
}

function isSignal(text: string): boolean {
  if (/^[+-]?\d+$/.test(text)) return Number(text) !== 0;
  const name = text.toUpperCase().replace(/^SIG/, "");
  const realtime = /^(?:RTMIN\+(\d+)|RTMAX-(\d+))$/.exec(name);
  if (realtime === null) return signalNames.has(name);
  const offset = Number(realtime[1] ?? realtime[2]);
  return offset >= 1 && offset <= (realtime[1] === undefined ? 14 : 15);
}

export function dispatchArg(stage: BuildStage, command: ArgCommand, context: DispatchContext): void {
  const shown: string[] = [];
  for (const declared of command.args) {
    const { key } = declared;
    checkSecretName("ARG", key, command.location, context.lint);
    const given = context.buildArgs.get(key);
    const inherited = given === undefined && declared.value === undefined ? context.globalArgs.get(key) : undefined;
    let value = given ?? inherited;
    if (value === undefined && declared.value !== undefined) {
      const { lexer, lint } = context;
      value = expandChecked(declared.value, { lexer, stage, location: command.location, lint });
    }
    const arg = value === undefined ? declared : { ...declared, value };
    if (value !== undefined && !nonEnvArgs.has(key)) stage.state = stage.state.withEnv(key, value);
    if (inherited === undefined) {
      const { location } = command;
      stage.outline.args.set(key, { value: value ?? "", definition: arg, deps: new Set(), location });
    }
    stage.outline.usedArgs.add(key);
    stage.buildArgs.push(arg);
    shown.push(value === undefined ? key : `${key}=${value}`);
  }
  addHistory(stage, `ARG ${shown.join(" ")}`, context.epoch);
}

export function dispatchUser(stage: BuildStage, user: string): void {
  stage.state = stage.state.withUser(user);
  stage.image.config.user = user;
}

/** Sets the directory; answers it with forward slashes. @throws BuildError */
export function setWorkdir(stage: BuildStage, path: string): string {
  const os = stage.platform?.os ?? "";
  const workdir = normalizeWorkdir(stage.image.config.workingDir, path, os);
  stage.image.config.workingDir = workdir;
  const slashed = toSlash(workdir, os);
  stage.state = stage.state.withDir(slashed);
  return slashed;
}

export function dispatchWorkdir(stage: BuildStage, command: WorkdirCommand, context: DispatchContext): void {
  const platform = stage.platform ?? context.platforms.target;
  // An absolute directory of the base image is nothing to rely on, so only those of this file count.
  if (!stage.workdirSet && !isAbsolute(command.path, platform.os)) {
    context.lint.run(lintRules.workdirRelativePath, command.location, command.path);
  }
  stage.workdirSet = true;
  const workdir = setWorkdir(stage, command.path);
  if (workdir !== "/") {
    const { user } = stage.image.config;
    const action = FileAction.none.mkdir(workdir, 0o755, {
      makeParents: true,
      owner: user === "" ? undefined : parseOwnership(user),
      createdTime: context.epoch,
    });
    const { env } = stage.state;
    const text = stepText(command.code, context.lexer, env);
    stage.state = stage.state.file(action, {
      customName: `${nextStepPrefix(stage, platform, env)}${text}`,
      locations: locationsOf(context, command.location),
      platform,
    });
  }
  addHistory(stage, `WORKDIR ${workdir}`, context.epoch, { layer: workdir !== "/" });
}
