import { quote } from "../text.ts";

/** One check: its texts and how the message is made from its arguments. */
export interface LintRule<A extends readonly string[]> {
  readonly name: string;
  readonly description: string;
  /** Empty: no page. */
  readonly url: string;
  /** Reported only when asked for. */
  readonly experimental: boolean;
  readonly message: (...args: A) => string;
}

interface RuleOptions {
  readonly experimental?: boolean;
  readonly page?: boolean;
}

function rule<A extends readonly string[]>(
  name: string,
  description: string,
  message: (...args: A) => string,
  { experimental = false, page = true }: RuleOptions = {},
): LintRule<A> {
  const slug = name.replace(/(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/g, "-").toLowerCase();
  const url = page ? `https://docs.docker.com/go/dockerfile/rule/${slug}/` : "";
  return { name, description, url, experimental, message };
}

/** All rules by name (BuildKit frontend/dockerfile/linter/ruleset.go). */
export const lintRules = {
  stageNameCasing: rule(
    "StageNameCasing",
    "Stage names should be lowercase",
    (stage: string) => `Stage name '${stage}' should be lowercase`,
  ),
  fromAsCasing: rule(
    "FromAsCasing",
    "The 'as' keyword should match the case of the 'from' keyword",
    (from: string, as: string) => `'${as}' and '${from}' keywords' casing do not match`,
  ),
  noEmptyContinuation: rule(
    "NoEmptyContinuation",
    "Empty continuation lines will become errors in a future release",
    () => "Empty continuation line",
  ),
  consistentInstructionCasing: rule(
    "ConsistentInstructionCasing",
    "All commands within the Dockerfile should use the same casing (either upper or lower)",
    (instruction: string, casing: string) =>
      `Command '${instruction}' should match the case of the command majority (${casing})`,
  ),
  duplicateStageName: rule(
    "DuplicateStageName",
    "Stage names should be unique",
    (stage: string) => `Duplicate stage name ${quote(stage)}, stage names should be unique`,
  ),
  reservedStageName: rule(
    "ReservedStageName",
    "Reserved words should not be used as stage names",
    (stage: string) => `Stage name should not use the same name as reserved stage ${quote(stage)}`,
  ),
  jsonArgsRecommended: rule(
    "JSONArgsRecommended",
    "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals",
    (instruction: string) =>
      `JSON arguments recommended for ${instruction} to prevent unintended behavior related to OS signals`,
  ),
  maintainerDeprecated: rule(
    "MaintainerDeprecated",
    "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
    () => "Maintainer instruction is deprecated in favor of using label",
  ),
  undefinedArgInFrom: rule(
    "UndefinedArgInFrom",
    "FROM command must use declared ARGs",
    (arg: string, hint: string) => `FROM argument '${arg}' is not declared${hint && ` (did you mean ${hint}?)`}`,
  ),
  workdirRelativePath: rule(
    "WorkdirRelativePath",
    "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes",
    (workdir: string) => `Relative workdir ${quote(workdir)} can have unexpected results if the base image changes`,
  ),
  undefinedVar: rule(
    "UndefinedVar",
    "Variables should be defined before their use",
    (name: string, hint: string) => `Usage of undefined variable '$${name}'${hint && ` (did you mean $${hint}?)`}`,
  ),
  multipleInstructionsDisallowed: rule(
    "MultipleInstructionsDisallowed",
    "Multiple instructions of the same type should not be used in the same stage",
    (instruction: string) =>
      `Multiple ${instruction} instructions should not be used in the same stage because only the last one will be used`,
  ),
  legacyKeyValueFormat: rule(
    "LegacyKeyValueFormat",
    "Legacy key/value format with whitespace separator should not be used",
    (instruction: string) =>
      `"${instruction} key=value" should be used instead of legacy "${instruction} key value" format`,
  ),
  invalidBaseImagePlatform: rule(
    "InvalidBaseImagePlatform",
    "Base image platform does not match expected target platform",
    (image: string, expected: string, actual: string) =>
      `Base image ${image} was pulled with platform ${quote(actual)}, expected ${quote(expected)} for current build`,
    { page: false },
  ),
  redundantTargetPlatform: rule(
    "RedundantTargetPlatform",
    "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
    (variable: string) =>
      `Setting platform to predefined ${variable} in FROM is redundant as this is the default behavior`,
  ),
  secretsUsedInArgOrEnv: rule(
    "SecretsUsedInArgOrEnv",
    "Sensitive data should not be used in the ARG or ENV commands",
    (instruction: string, key: string) =>
      `Do not use ARG or ENV instructions for sensitive data (${instruction} ${quote(key)})`,
  ),
  invalidDefaultArgInFrom: rule(
    "InvalidDefaultArgInFrom",
    "Default value for global ARG results in an empty or invalid base image name",
    (baseName: string) => `Default value for ARG ${baseName} results in empty or invalid base image name`,
  ),
  fromPlatformFlagConstDisallowed: rule(
    "FromPlatformFlagConstDisallowed",
    "FROM --platform flag should not use a constant value",
    (platform: string) => `FROM --platform flag should not use constant value ${quote(platform)}`,
  ),
  copyIgnoredFile: rule(
    "CopyIgnoredFile",
    "Attempting to Copy file that is excluded by .dockerignore",
    (instruction: string, file: string) =>
      `Attempting to ${instruction} file ${quote(file)} that is excluded by .dockerignore`,
  ),
  invalidDefinitionDescription: rule(
    "InvalidDefinitionDescription",
    "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not intended to be a description comment, add an empty line or comment between the instruction and the comment.",
    (instruction: string, name: string) =>
      `Comment for ${instruction} should follow the format: \`# ${name} <description>\``,
    { experimental: true },
  ),
  exposeProtoCasing: rule(
    "ExposeProtoCasing",
    "Protocol in EXPOSE instruction should be lowercase",
    (port: string) => `Defined protocol '${port}' in EXPOSE instruction should be lowercase`,
  ),
  exposeInvalidFormat: rule(
    "ExposeInvalidFormat",
    "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future release",
    (port: string) => `EXPOSE instruction should not define an IP address or host-port mapping, found '${port}'`,
  ),
} as const;
