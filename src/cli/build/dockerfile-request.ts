import { stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { BuildOutput } from "../../client/index.ts";
import { UsageError } from "../usage-error.ts";
import { existingDirectory } from "./parse-pairs.ts";

/** Flags that build a Dockerfile without naming frontend and directories. */
export interface DockerfileFlags {
  readonly file?: string;
  readonly tag: readonly string[];
  readonly push: boolean;
  readonly buildArg: readonly string[];
  readonly target?: string;
  readonly platform: readonly string[];
  readonly label: readonly string[];
}

export interface DockerfileRequest {
  readonly frontendOptions: Readonly<Record<string, string>>;
  readonly localDirectories: ReadonlyMap<string, string>;
}

/** True when one of the flags is there. */
export function wantsDockerfile(path: string | undefined, flags: DockerfileFlags): boolean {
  const lists = [flags.tag, flags.buildArg, flags.platform, flags.label];
  return (
    path !== undefined ||
    flags.file !== undefined ||
    flags.push ||
    flags.target !== undefined ||
    lists.some((l) => l.length > 0)
  );
}

/**
 * Options of the Dockerfile frontend.
 * @param path directory or URL; default the current directory
 * @param stdin in place of the path
 */
export async function dockerfileRequest(
  path: string | undefined,
  flags: DockerfileFlags,
  stdin: DockerfileRequest | undefined,
  env: NodeJS.ProcessEnv = process.env,
): Promise<DockerfileRequest> {
  const options: Record<string, string> = {};
  const directories = new Map<string, string>();
  const context = path ?? ".";
  if (stdin !== undefined) {
    Object.assign(options, stdin.frontendOptions);
    if (flags.file !== undefined) options["filename"] = flags.file;
    for (const [name, directory] of stdin.localDirectories) directories.set(name, directory);
  } else if (isUrl(context)) {
    options["context"] = context;
    if (flags.file !== undefined) options["filename"] = flags.file;
  } else {
    const directory = await existingDirectory("build", context);
    const file = flags.file === undefined ? join(directory, "Dockerfile") : resolve(flags.file);
    const found = await stat(file).catch(() => undefined);
    if (found === undefined) throw new UsageError(`no such Dockerfile: ${flags.file ?? join(context, "Dockerfile")}`);
    directories.set("context", directory).set("dockerfile", dirname(file));
    options["filename"] = basename(file);
  }
  for (const text of flags.buildArg) {
    const [name, value] = assignment(text, env);
    if (value !== undefined) options[`build-arg:${name}`] = value;
  }
  for (const text of flags.label) {
    const [name, value] = assignment(text, {});
    options[`label:${name}`] = value ?? "";
  }
  if (flags.target !== undefined) options["target"] = flags.target;
  if (flags.platform.length > 0) options["platform"] = flags.platform.join(",");
  return { frontendOptions: options, localDirectories: directories };
}

/** Adds tags and `--push` to the outputs; without an output that takes a name they make one. */
export function withTags(outputs: readonly BuildOutput[], flags: DockerfileFlags): readonly BuildOutput[] {
  if (flags.tag.length === 0 && !flags.push) return outputs;
  const named = outputs.map((output) => {
    if (!["image", "oci", "docker"].includes(output.type)) return output;
    const name = output.attributes["name"] ?? flags.tag.join(",");
    const attributes = { ...output.attributes, ...(name === "" ? {} : { name }) };
    return {
      ...output,
      attributes: output.type === "image" && flags.push ? { ...attributes, push: "true" } : attributes,
    };
  });
  const pushes = named.some((output) => output.type === "image");
  const isNamed = named.some((output) => output.attributes["name"] !== undefined);
  if (flags.push && !pushes && flags.tag.length === 0)
    throw new UsageError("--push needs an image name: add --tag <name>");
  if (flags.push ? pushes : isNamed) return named;
  const attributes = { name: flags.tag.join(","), ...(flags.push ? { push: "true" } : {}) };
  return [...named, { type: "image", attributes }];
}

/** `NAME=value`, or `NAME` for the variable of that name, if there is one. */
function assignment(text: string, env: NodeJS.ProcessEnv): [name: string, value: string | undefined] {
  const equals = text.indexOf("=");
  if (equals === 0 || text === "") throw new UsageError(`invalid value ${JSON.stringify(text)}: expected NAME=value`);
  return equals < 0 ? [text, env[text]] : [text.slice(0, equals), text.slice(equals + 1)];
}

/** What the daemon fetches itself: git repositories and archives. */
function isUrl(context: string): boolean {
  return /^(https?|git|ssh):\/\//.test(context) || /^git@|^github\.com\//.test(context);
}
