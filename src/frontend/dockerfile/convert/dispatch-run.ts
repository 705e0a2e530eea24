import { NetMode, SecurityMode } from "../../../api/gen/ops.ts";
import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import { type ExecMount, type ExecOptions, FileAction, joinPath, scratch } from "../../../llb/builder/index.ts";
import type { ArgPair, RunCommand } from "../instructions/index.ts";
import { chompHeredoc, tryParseHeredoc } from "../parser/index.ts";
import { type EnvLookup, WordLexer } from "../shell/index.ts";
import type { BuildStage } from "./build-stage.ts";
import { type DispatchContext, locationsOf, withShell } from "./dispatch-context.ts";
import { addHistory } from "./history.ts";
import { lowerMounts } from "./run-mounts.ts";
import { nextStepPrefix, stepText, summarizeHeredoc } from "./vertex-names.ts";

/** RUN (map e9, e12, e24). @throws BuildError */
export function dispatchRun(
  stage: BuildStage,
  command: RunCommand,
  sources: readonly BuildStage[],
  context: DispatchContext,
): void {
  stage.paths.add("/"); // a command may read anything
  const line = commandLine(stage, command);
  const args = command.prependShell ? withShell(stage, line.args) : line.args;
  const mounts = lowerMounts(stage, command, sources, context);
  if (command.devices.length > 0) {
    throw new BuildError(Code.Unknown, "device feature is only supported in Dockerfile frontend 1.14.0-labs or later");
  }
  const { config } = context;
  const { env, platform } = stage.state;
  const lexer = new WordLexer({ escapeToken: context.escapeToken, rawQuotes: true, skipUnsetEnv: true });
  const text = stepText(command.code + line.summary, lexer, maskSecrets(command, env));
  const shm: ExecMount[] =
    config.shmSizeBytes > 0 ? [{ target: "/dev/shm", tmpfs: { sizeBytes: config.shmSizeBytes } }] : [];
  const options: ExecOptions = {
    args,
    customName: `${nextStepPrefix(stage, platform, env)}${text}`,
    description: { "com.docker.dockerfile.v1.command": command.code },
    locations: locationsOf(context, command.location),
    mounts: [...line.mounts, ...mounts.mounts, ...shm],
    secrets: mounts.secrets,
    ssh: mounts.ssh,
    proxyEnv: context.proxyEnv,
    ulimits: config.ulimits,
    extraHosts: config.extraHosts,
    linuxResources: config.linuxResources,
    ...(config.cgroupParent === "" ? {} : { cgroupParent: config.cgroupParent }),
    ...(stage.noCache ? { ignoreCache: true } : {}),
    ...(command.network === "default" ? {} : { network: command.network === "none" ? NetMode.NONE : NetMode.HOST }),
    security: command.security === "insecure" ? SecurityMode.INSECURE : SecurityMode.SANDBOX,
  };
  stage.state = stage.state.run(options);
  const history = ["RUN", ...argsPrefix(stage.buildArgs, env), ...args].join(" ");
  addHistory(stage, `${history} # buildkit`, context.epoch, { layer: true });
}

interface CommandLine {
  readonly args: readonly string[];
  readonly mounts: readonly ExecMount[];
  /** Added to the vertex name. */
  readonly summary: string;
}

/** The words of the command; a sole heredoc is the script itself, others are handed to the shell with their bodies. */
function commandLine(stage: BuildStage, command: RunCommand): CommandLine {
  const [file] = command.files;
  if (file === undefined) return { args: command.commandLine, mounts: [], summary: "" };
  const [words = "", ...others] = command.commandLine;
  if (others.length > 0 || !command.prependShell) {
    throw new BuildError(Code.Unknown, `parsing produced an invalid run command: [${command.commandLine.join(" ")}]`);
  }
  if (tryParseHeredoc(words) === undefined) {
    const bodies = command.files.map(({ data, name }) => `\n${data}${name}`).join("");
    return { args: [words + bodies], mounts: [], summary: "" };
  }
  const data = file.chomp ? chompHeredoc(file.data) : file.data;
  const summary = ` (${summarizeHeredoc(file.data)})`;
  if (stage.image.platform.os === "windows" || !data.startsWith("#!")) return { args: [data], mounts: [], summary };
  // A shebang names the interpreter: the heredoc becomes an executable file, which the shell is asked to run.
  const script = scratch().file(FileAction.none.mkfile(file.name, 0o755, data), {
    customName: "[internal] preparing inline document",
    platform: stage.platform,
  });
  return {
    args: [joinPath("/dev/pipes/", file.name)],
    mounts: [{ target: "/dev/pipes/", source: script, selector: "/", readonly: true }],
    summary,
  };
}

/** `|2 A=1 B=2`: the args which the command could see. */
function argsPrefix(buildArgs: readonly ArgPair[], env: EnvLookup): string[] {
  const values = new Map<string, string>();
  for (const { key, value } of buildArgs) values.set(key, env.get(key) ?? value ?? "");
  if (values.size === 0) return [];
  return [`|${values.size}`, ...[...values].map(([key, value]) => `${key}=${value}`)];
}

/** Variables that come from secrets show as stars in names. */
function maskSecrets(command: RunCommand, env: EnvLookup): EnvLookup {
  const secrets = new Set(
    command.mounts.flatMap((mount) => (mount.type === "secret" && mount.env !== undefined ? [mount.env] : [])),
  );
  if (secrets.size === 0) return env;
  return {
    get: (name) => (secrets.has(name) ? "****" : env.get(name)),
    keys: () => [...env.keys().filter((name) => !secrets.has(name)), ...secrets],
  };
}
