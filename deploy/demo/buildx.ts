import { access, constants } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Narrator } from "./narrator.ts";
import { findProgram, searchPath } from "./requirements.ts";
import { runCommand } from "./run-command.ts";

const finder = fileURLToPath(new URL("../../scripts/docker-buildx.sh", import.meta.url));

export interface FindBuildxOptions {
  /** It may be fetched when it is not here. */
  readonly install: boolean;
  readonly narrator: Narrator;
  readonly signal: AbortSignal;
}

/** Where Docker's and Debian's packages put it, besides the PATH. */
const pluginDirectories = ["/usr/libexec/docker/cli-plugins", "/usr/lib/docker/cli-plugins"];

/** @returns the program docker-buildx, undefined where it cannot be had */
export async function findBuildx({ install, narrator, signal }: FindBuildxOptions): Promise<string | undefined> {
  const here = (await findProgram("docker-buildx")) ?? (await firstExecutable(pluginDirectories));
  if (here !== undefined || !install) return here;
  const directory = await runCommand(["sh", finder], {
    env: { PATH: searchPath() },
    signal,
    onError: (line) => {
      narrator.text(narrator.dim(narrator.clean(line)));
      return true;
    },
  });
  return directory.trim() === "" ? undefined : join(directory.trim(), "docker-buildx");
}

async function firstExecutable(directories: readonly string[]): Promise<string | undefined> {
  for (const directory of directories) {
    const path = join(directory, "docker-buildx");
    const executable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (executable) return path;
  }
  return undefined;
}
