import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import { cut, parseBool, quote, trimSpace } from "../text.ts";

/** Content of a `check` directive, comment or build argument. */
export interface LintConfig {
  readonly skipAll: boolean;
  readonly skipRules: readonly string[];
  readonly experimentalAll: boolean;
  readonly experimentalRules: readonly string[];
  readonly returnAsError: boolean;
}

export const defaultLintConfig: LintConfig = {
  skipAll: false,
  skipRules: [],
  experimentalAll: false,
  experimentalRules: [],
  returnAsError: false,
};

/**
 * Reads `skip=A,B;error=true;experimental=all`, at most three parts (BuildKit frontend/dockerfile/linter/linter.go).
 *
 * @throws BuildError `invalid check option …`
 */
export function parseLintConfig(text: string): LintConfig {
  let config = defaultLintConfig;
  const trimmed = trimSpace(text);
  if (trimmed === "") return config;
  for (const part of splitInThree(trimmed)) config = { ...config, ...parseOption(part) };
  return config;
}

function splitInThree(text: string): string[] {
  const [first = "", second, ...rest] = text.split(";");
  if (second === undefined) return [first];
  return rest.length === 0 ? [first, second] : [first, second, rest.join(";")];
}

function parseOption(part: string): Partial<LintConfig> {
  const { before, after } = cut(part, "=");
  if (after === undefined) throw new BuildError(Code.Unknown, `invalid check option ${quote(part)}`);
  const name = trimSpace(before);
  const value = trimSpace(after);
  switch (name) {
    case "skip":
      return value === "all" ? { skipAll: true } : { skipRules: value.split(",").map(trimSpace) };
    case "experimental":
      return value === "all" ? { experimentalAll: true } : { experimentalRules: value.split(",").map(trimSpace) };
    case "error": {
      const returnAsError = parseBool(value);
      if (returnAsError !== undefined) return { returnAsError };
      throw new BuildError(
        Code.Unknown,
        `failed to parse check option ${quote(part)}: strconv.ParseBool: parsing ${quote(value)}: invalid syntax`,
      );
    }
    default:
      throw new BuildError(Code.Unknown, `invalid check option ${quote(name)}`);
  }
}
