import type { Range } from "../../../api/gen/ops.ts";
import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import { DirectiveReader } from "../parser/directives.ts";
import { cut } from "../text.ts";
import { type LintConfig, parseLintConfig } from "./lint-config.ts";
import type { LintRule } from "./rules.ts";

export interface LintWarning {
  readonly ruleName: string;
  readonly description: string;
  readonly url: string;
  /** What is wrong here. */
  readonly message: string;
  readonly location: readonly Range[];
}

/** Called for every warning which is not configured away, in order. */
export type LintSink = (warning: LintWarning) => void;

/** Filters violations by configuration and passes them on (BuildKit frontend/dockerfile/linter/linter.go). */
export class Linter {
  readonly #config: LintConfig;
  readonly #sink: LintSink | undefined;
  /** Names of violated rules, shared with the linters derived by `withComments`. */
  readonly #violated: Set<string>;

  /** @param sink without one nothing is checked. */
  constructor(config: LintConfig, sink?: LintSink, violated = new Set<string>()) {
    this.#config = config;
    this.#sink = sink;
    this.#violated = violated;
  }

  /** Reports a violation; the arguments are those of the rule's message. */
  run<A extends readonly string[]>(rule: LintRule<A>, location: readonly Range[], ...args: A): void {
    if (!this.#sink || !this.#applies(rule)) return;
    this.#violated.add(rule.name);
    const { name: ruleName, description, url } = rule;
    this.#sink({ ruleName, description, url, message: rule.message(...args), location });
  }

  /** This linter with the `# check=…` among an instruction's comments added. */
  withComments(comments: readonly string[]): Linter {
    for (const comment of comments) {
      const directive = new DirectiveReader("").read(comment);
      if (directive?.name !== "check") continue;
      try {
        return this.#merged(parseLintConfig(cut(directive.value, " ").before));
      } catch {
        return this; // a comment is no place to fail a build
      }
    }
    return this;
  }

  /** The failure of a build with `error=true` in which a rule was violated. */
  error(): BuildError | undefined {
    if (!this.#config.returnAsError || this.#violated.size === 0) return undefined;
    return new BuildError(Code.Unknown, `lint violation found for rules: ${[...this.#violated].join(", ")}`);
  }

  #applies<A extends readonly string[]>(rule: LintRule<A>): boolean {
    const { skipAll, skipRules, experimentalAll, experimentalRules } = this.#config;
    if (rule.experimental) return experimentalAll || experimentalRules.includes(rule.name);
    return !skipAll && !skipRules.includes(rule.name);
  }

  #merged(other: LintConfig): Linter {
    const config = {
      skipAll: this.#config.skipAll || other.skipAll,
      skipRules: [...this.#config.skipRules, ...other.skipRules],
      experimentalAll: this.#config.experimentalAll || other.experimentalAll,
      experimentalRules: [...this.#config.experimentalRules, ...other.experimentalRules],
      returnAsError: this.#config.returnAsError,
    };
    return new Linter(config, this.#sink, this.#violated);
  }
}
