import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import type { ProcessSpawner } from "../../../util/process/index.ts";

/** Copies trees by coreutils, in a process of its own: clones where the filesystem can, and keeps holes. */
export function copyTree(spawner: ProcessSpawner) {
  return async (source: string, target: string, signal: AbortSignal): Promise<void> => {
    const result = await spawner.capture(["cp", "-a", "--reflink=auto", "--no-target-directory", source, target], {
      signal,
    });
    if (result.code !== 0) throw new BuildError(Code.Unknown, `Cannot fill cache mount: ${result.stderr.trim()}`);
  };
}
