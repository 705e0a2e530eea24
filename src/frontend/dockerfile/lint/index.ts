export { defaultLintConfig, type LintConfig, parseLintConfig } from "./lint-config.ts";
export { Linter, type LintSink, type LintWarning } from "./linter.ts";
export { type LintRule, lintRules } from "./rules.ts";
