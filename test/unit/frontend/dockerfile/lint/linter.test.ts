import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseStages } from "../../../../../src/frontend/dockerfile/instructions/index.ts";
import {
  defaultLintConfig,
  Linter,
  type LintWarning,
  lintRules,
  parseLintConfig,
} from "../../../../../src/frontend/dockerfile/lint/index.ts";
import { parseDockerfile } from "../../../../../src/frontend/dockerfile/parser/index.ts";

function check(dockerfile: string, config = ""): { warnings: LintWarning[]; error: Error | undefined } {
  const warnings: LintWarning[] = [];
  const linter = new Linter(parseLintConfig(config), (warning) => warnings.push(warning));
  parseStages(parseDockerfile(Buffer.from(dockerfile)), linter);
  return { warnings, error: linter.error() };
}

const names = (dockerfile: string, config?: string) =>
  check(dockerfile, config).warnings.map(({ ruleName }) => ruleName);

describe("lint rules", () => {
  it("have a page each, but for one", () => {
    const urls = Object.values(lintRules).map(({ url }) => url.replace(/.*\/rule\//, ""));
    assert.equal(urls.length, 22);
    assert.deepEqual(
      Object.values(lintRules)
        .filter(({ url }) => url === "")
        .map(({ name }) => name),
      ["InvalidBaseImagePlatform"],
    );
    assert.equal(
      lintRules.jsonArgsRecommended.url,
      "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/",
    );
    assert.equal(
      lintRules.secretsUsedInArgOrEnv.url,
      "https://docs.docker.com/go/dockerfile/rule/secrets-used-in-arg-or-env/",
    );
  });

  it("find what is seen in single instructions", () => {
    const { warnings } = check("FROM scratch as Base\nMAINTAINER x\n");
    assert.deepEqual(
      warnings.map(({ ruleName, message, location }) => [ruleName, message, location[0]?.start?.line]),
      [
        ["StageNameCasing", "Stage name 'Base' should be lowercase", 1],
        ["FromAsCasing", "'as' and 'FROM' keywords' casing do not match", 1],
        ["MaintainerDeprecated", "Maintainer instruction is deprecated in favor of using label", 2],
      ],
    );
  });

  it("leaves FROM in mixed case to another rule", () => {
    assert.deepEqual(names("From scratch aS b\n"), []);
  });

  it("checks descriptions only when asked to", () => {
    const file = "# wrong\nARG V W\n# b is right\nFROM scratch AS b\n";
    assert.deepEqual(names(file), []);
    const { warnings } = check(file, "experimental=InvalidDefinitionDescription");
    assert.deepEqual(
      warnings.map(({ message }) => message),
      ["Comment for ARG should follow the format: `# <arg_key> <description>`"],
    );
  });
});

describe("lint configuration", () => {
  it("skips rules", () => {
    assert.deepEqual(names("FROM scratch as Base", "skip=FromAsCasing, Other"), ["StageNameCasing"]);
    assert.deepEqual(names("FROM scratch as Base", "skip=all"), []);
  });

  it("is added to by the comments above an instruction", () => {
    assert.deepEqual(names("FROM scratch as a\n# check=skip=FromAsCasing;error=true because\nFROM scratch as b\n"), [
      "FromAsCasing",
    ]);
    assert.deepEqual(names("ARG A\n# check=skip=\nFROM scratch as b\n"), ["FromAsCasing"]);
    assert.deepEqual(names("ARG A\n# check=nonsense\nFROM scratch as b\n"), ["FromAsCasing"]);
  });

  it("fails the build with error=true", () => {
    const file = "FROM scratch as Base\nFROM scratch as x\n";
    assert.equal(check(file).error, undefined);
    assert.equal(check(file, "skip=all;error=true").error, undefined);
    assert.equal(
      check(file, "error=true").error?.message,
      "lint violation found for rules: StageNameCasing, FromAsCasing",
    );
  });

  it("counts violations which a comment's linter found", () => {
    const linter = new Linter({ ...defaultLintConfig, returnAsError: true }, () => {});
    linter.withComments(["check=skip=Other"]).run(lintRules.noEmptyContinuation, []);
    assert.equal(linter.error()?.message, "lint violation found for rules: NoEmptyContinuation");
  });

  it("does nothing without anybody to tell", () => {
    const linter = new Linter({ ...defaultLintConfig, returnAsError: true });
    linter.run(lintRules.noEmptyContinuation, []);
    assert.equal(linter.error(), undefined);
  });

  it("reads its text form", () => {
    assert.deepEqual(parseLintConfig(" skip = A , B ; experimental=all;error=T "), {
      skipAll: false,
      skipRules: ["A", "B"],
      experimentalAll: true,
      experimentalRules: [],
      returnAsError: true,
    });
    assert.throws(() => parseLintConfig("skip"), { message: 'invalid check option "skip"' });
    assert.throws(() => parseLintConfig("what=ever"), { message: 'invalid check option "what"' });
    assert.throws(() => parseLintConfig("error=maybe"), {
      message: 'failed to parse check option "error=maybe": strconv.ParseBool: parsing "maybe": invalid syntax',
    });
  });
});
