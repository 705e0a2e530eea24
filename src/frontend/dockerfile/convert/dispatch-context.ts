import type { ProxyEnv, Range } from "../../../api/gen/ops.ts";
import type { EnvList, SourceLocation, SourceMap, State } from "../../../llb/builder/index.ts";
import type { BuildConfig } from "../context/index.ts";
import type { Linter } from "../lint/index.ts";
import type { EscapeToken } from "../parser/index.ts";
import type { WordLexer } from "../shell/index.ts";
import type { BuildStage } from "./build-stage.ts";
import type { IgnoreMatcher } from "./checks.ts";
import type { PlatformChoice } from "./global-args.ts";

/** What the conversion of every instruction may need to know. */
export interface DispatchContext {
  readonly config: BuildConfig;
  readonly buildArgs: ReadonlyMap<string, string>;
  readonly globalArgs: EnvList;
  readonly platforms: PlatformChoice;
  readonly lexer: WordLexer;
  readonly escapeToken: EscapeToken;
  readonly buildContext: State;
  readonly ignoreMatcher: IgnoreMatcher | undefined;
  readonly proxyEnv: ProxyEnv | undefined;
  readonly sourceMap: SourceMap;
  /** SOURCE_DATE_EPOCH, Unix seconds. */
  readonly epoch: number | undefined;
  readonly lint: Linter;
}

export function locationsOf(context: DispatchContext, ranges: readonly Range[]): readonly SourceLocation[] {
  return [{ sourceMap: context.sourceMap, ranges }];
}

/** Shell-form command line: the stage's SHELL, or that of its os, before the words. */
export function withShell(stage: BuildStage, args: readonly string[]): string[] {
  const { shell } = stage.image.config;
  const windows = stage.image.platform.os === "windows";
  const words = shell.length > 0 ? shell : windows ? ["cmd", "/S", "/C"] : ["/bin/sh", "-c"];
  return [...words, args.join(" ")];
}
