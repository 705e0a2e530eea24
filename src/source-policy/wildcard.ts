import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import { checkMatchingCost } from "./matching-cost.ts";

/** Text in which `*` stands for anything on one line (BuildKit util/wildcard). */
export class Wildcard {
  readonly #pattern: string;
  readonly #literals: readonly string[];

  /** @throws BuildError `failed to translate wildcard "a**" to regexp: invalid wildcard: "**"` */
  constructor(pattern: string) {
    if (pattern.includes("**")) {
      const shown = JSON.stringify(pattern);
      throw new BuildError(Code.Unknown, `failed to translate wildcard ${shown} to regexp: invalid wildcard: "**"`);
    }
    this.#pattern = pattern;
    this.#literals = pattern.split("*");
  }

  /**
   * The whole text and what each `*` stands for, earlier ones as long as possible; undefined when it does not match.
   * @throws BuildError when that would take too long to find out
   */
  match(text: string): readonly string[] | undefined {
    const [first = "", ...others] = this.#literals;
    const last = others.pop();
    if (last === undefined) return text === first ? [text] : undefined;
    let end = text.length - last.length;
    if (end < first.length || !text.startsWith(first) || !text.endsWith(last)) return undefined;
    checkMatchingCost(this.#pattern.length, text);
    const captures: string[] = [];
    // From the right: the last place of each literal leaves most to what comes before.
    for (const literal of others.reverse()) {
      const start = end - literal.length < first.length ? -1 : text.lastIndexOf(literal, end - literal.length);
      if (start < first.length) return undefined;
      captures.unshift(text.slice(start + literal.length, end));
      end = start;
    }
    captures.unshift(text.slice(first.length, end));
    return captures.some((capture) => capture.includes("\n")) ? undefined : [text, ...captures];
  }
}
