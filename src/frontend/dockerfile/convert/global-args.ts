import type { ProxyEnv } from "../../../api/gen/ops.ts";
import { hostPlatform, type Platform } from "../../../core/values/platform.ts";
import { EnvList } from "../../../llb/builder/index.ts";
import type { BuildConfig } from "../context/index.ts";
import { withLocation } from "../dockerfile-error.ts";
import { formatPlatformFully, formatPlatformShort } from "../image/index.ts";
import type { ArgCommand } from "../instructions/index.ts";
import type { WordLexer } from "../shell/index.ts";
import type { ArgInfo } from "./outline-capture.ts";

/** Platforms of one conversion. */
export interface PlatformChoice {
  readonly target: Platform;
  readonly build: readonly [Platform, ...Platform[]];
  /** The client asked for none: the base image may decide. */
  readonly implicit: boolean;
}

export function choosePlatforms(config: BuildConfig, target: Platform | undefined): PlatformChoice {
  const [first = hostPlatform(), ...others] = config.buildPlatforms;
  return { target: target ?? first, build: [first, ...others], implicit: target === undefined };
}

/** Args every build has (map e3). */
export function automaticArgs(
  { build: [build], target }: PlatformChoice,
  overrides: ReadonlyMap<string, string>,
  stage: string,
): EnvList {
  const args: readonly (readonly [string, string])[] = [
    ["BUILDPLATFORM", formatPlatformShort(build)],
    ["BUILDOS", build.os],
    ["BUILDOSVERSION", build.osVersion],
    ["BUILDARCH", build.architecture],
    ["BUILDVARIANT", build.variant],
    ["TARGETPLATFORM", formatPlatformFully(target)],
    ["TARGETOS", target.os],
    ["TARGETOSVERSION", target.osVersion],
    ["TARGETARCH", target.architecture],
    ["TARGETVARIANT", target.variant],
    ["TARGETSTAGE", stage === "" ? "default" : stage],
  ];
  return args.reduce((env, [key, value]) => env.set(key, overrides.get(key) ?? value), EnvList.empty);
}

/** Evaluates the ARGs before the first FROM. @throws DockerfileError */
export function evaluateGlobalArgs(
  initial: EnvList,
  lexer: WordLexer,
  commands: readonly ArgCommand[],
  buildArgs: ReadonlyMap<string, string>,
): { readonly env: EnvList; readonly args: Map<string, ArgInfo> } {
  let env = initial;
  const args = new Map<string, ArgInfo>();
  for (const command of commands) {
    for (const definition of command.args) {
      const { key } = definition;
      let value = buildArgs.get(key);
      let deps = new Set<string>();
      if (value === undefined && definition.value !== undefined) {
        try {
          const lexed = lexer.processWord(definition.value, env);
          value = lexed.result;
          deps = new Set(lexed.matched);
        } catch (error) {
          throw withLocation(error, command.location);
        }
        // A default that refers to the same name stands on what that one stood on.
        if (deps.delete(key)) for (const dep of args.get(key)?.deps ?? []) deps.add(dep);
      }
      if (value !== undefined) env = env.set(key, value);
      const evaluated = value === undefined ? definition : { ...definition, value };
      args.set(key, { value: value ?? "", definition: evaluated, deps, location: command.location });
    }
  }
  return { env, args };
}

/** Proxy settings among the build args; they reach RUN without being declared, and stay out of cache keys. */
export function proxyEnvOf(buildArgs: ReadonlyMap<string, string>): ProxyEnv | undefined {
  const proxy: ProxyEnv = { httpProxy: "", httpsProxy: "", ftpProxy: "", noProxy: "", allProxy: "" };
  const fields: Readonly<Record<string, keyof ProxyEnv>> = {
    http_proxy: "httpProxy",
    https_proxy: "httpsProxy",
    ftp_proxy: "ftpProxy",
    no_proxy: "noProxy",
    all_proxy: "allProxy",
  };
  let found = false;
  for (const [key, value] of [...buildArgs].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const field = fields[key.toLowerCase()];
    if (field === undefined) continue;
    proxy[field] = value;
    found = true;
  }
  return found ? proxy : undefined;
}
