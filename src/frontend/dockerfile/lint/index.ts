export { type LintConfig, Linter, type LintSink, type LintWarning, parseLintConfig } from "./linter.ts";
export type { LintRule } from "./rules.ts";
