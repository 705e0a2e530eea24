import { normalizePlatform, type Platform, parsePlatform } from "../../../core/values/platform.ts";
import { formatPlatformFully } from "../image/index.ts";
import type { EnvLookup, WordLexer } from "../shell/index.ts";
import type { BuildStage } from "./build-stage.ts";

/** `[linux/amd64->arm64 build 2/7] `: counts the step. Empty for a stage without steps. */
export function nextStepPrefix(stage: BuildStage, platform: Platform | undefined, env: EnvLookup): string {
  if (stage.stepTotal === 0) return "";
  const shown =
    stage.prefixPlatform && platform !== undefined
      ? `${formatPlatformFully(platform)}${crossTarget(platform, targetOf(env))} `
      : "";
  const name = stage.name === "" ? "" : `${stage.name} `;
  stage.stepIndex++;
  const index = String(stage.stepIndex).padStart(String(stage.stepTotal).length);
  return `[${shown}${name}${index}/${stage.stepTotal}] ${stage.stepIsOnBuild ? "ONBUILD " : ""}`;
}

/** The instruction with its variables replaced and its keyword in capitals. */
export function stepText(code: string, lexer: WordLexer, env: EnvLookup): string {
  let text = code;
  try {
    text = lexer.processWord(code, env).result;
  } catch {
    // shown as it is written
  }
  const blank = text.indexOf(" ");
  return blank < 0 ? text.toUpperCase() : text.slice(0, blank).toUpperCase() + text.slice(blank);
}

/** First line of a heredoc, with dots when there are more. */
export function summarizeHeredoc(data: string): string {
  const [first = "", ...others] = data.trim().split(/\r?\n/);
  return others.length === 0 ? first : `${first}...`;
}

/** The platform a stage compiles for, as its TARGET* variables say. */
function targetOf(env: EnvLookup): Partial<Platform> | undefined {
  const target: { os?: string; architecture?: string; variant?: string } = {};
  for (const key of env.keys()) {
    const value = env.get(key) ?? "";
    if (key === "TARGETOS") target.os = value;
    else if (key === "TARGETARCH") target.architecture = value;
    else if (key === "TARGETVARIANT") target.variant = value;
    else if (key === "TARGETPLATFORM") {
      try {
        return parsePlatform(value);
      } catch {
        // not a platform: the others decide
      }
    }
  }
  return Object.keys(target).length === 0 ? undefined : target;
}

function crossTarget(base: Platform, target: Partial<Platform> | undefined): string {
  if (target === undefined) return "";
  const platform = normalizePlatform({
    ...target,
    os: target.os || base.os,
    architecture: target.architecture || base.architecture,
  });
  if (platform.os !== base.os) return `->${formatPlatformFully(platform)}`;
  if (platform.architecture === base.architecture) return "";
  return `->${platform.architecture}${platform.variant === "" ? "" : `/${platform.variant}`}`;
}
