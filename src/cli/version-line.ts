import { buildkitVersion, packageName, version } from "../version.ts";

/** Answer of `--version` as the programs of BuildKit give it. Four words: buildx takes the third one as the version. */
export function versionLine(program: string): string {
  return `${program} ${packageName} ${buildkitVersion} buildfleet-${version}`;
}
