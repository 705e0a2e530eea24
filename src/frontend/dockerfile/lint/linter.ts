import type { Range } from "../../../api/gen/ops.ts";
import type { LintRule } from "./rules.ts";

/** Content of a `check` directive or build argument. */
export interface LintConfig {
  readonly skipAll: boolean;
  readonly skipRules: readonly string[];
  readonly experimentalAll: boolean;
  readonly experimentalRules: readonly string[];
  readonly returnAsError: boolean;
}

export interface LintWarning {
  readonly ruleName: string;
  readonly description: string;
  readonly url: string;
  /** The message. */
  readonly text: string;
  readonly location: readonly Range[];
}

/** Called for every warning which is not configured away, in order. */
export type LintSink = (warning: LintWarning) => void;

export class Linter {
  constructor(_config: LintConfig, _sink: LintSink) {
    throw new Error("to follow");
  }

  /** Reports a violation, e.g. `run(rules.StageNameCasing, location, "Builder")`. */
  run<A extends readonly string[]>(_rule: LintRule<A>, _location: readonly Range[], ..._args: A): void {
    throw new Error("to follow");
  }

  /** This linter with `# check=skip=…;experimental=…` of an instruction's comments added; same violations list. */
  withComments(_comments: readonly string[]): Linter {
    throw new Error("to follow");
  }

  /** `lint violation found for rules: …` when error=true and there were violations. */
  error(): Error | undefined {
    throw new Error("to follow");
  }
}

/** @throws BuildError `invalid check option …` */
export function parseLintConfig(_text: string): LintConfig {
  throw new Error("to follow");
}
