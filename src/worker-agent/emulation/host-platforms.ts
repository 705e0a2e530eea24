import { readFileSync } from "node:fs";
import { hostPlatform, normalizePlatform, type Platform, samePlatform } from "../../core/values/platform.ts";
import { emulatedArchitectures } from "./architectures.ts";

/** What each level of x86-64 asks of the processor (System V ABI; flags as in /proc/cpuinfo). */
const amd64Levels: readonly (readonly [string, readonly string[]])[] = [
  ["v2", ["cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"]],
  ["v3", ["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"]],
  ["v4", ["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"]],
];

/**
 * Platforms whose programs run here, the machine's own first, then in BuildKit's order (util/archutil/detect.go).
 * @param emulated architectures that some emulator runs
 * @param levels of x86-64, see `amd64LevelsHere`
 */
export function runnablePlatforms(
  emulated: ReadonlySet<string>,
  levels: readonly string[],
  host: Platform = hostPlatform(),
): Platform[] {
  const platforms = [host];
  const linux = (architecture: string, variant = "") =>
    platforms.push(normalizePlatform({ os: "linux", architecture, variant }));
  if (host.architecture === "amd64") for (const level of levels) linux("amd64", level);
  for (const architecture of emulatedArchitectures) {
    const native = architecture === "386" && host.architecture === "amd64";
    if (native || emulated.has(architecture)) linux(architecture);
    if (architecture === "arm" && (host.architecture === "arm" || emulated.has("arm"))) linux("arm", "v6");
  }
  return platforms.filter((platform, i) => platforms.findIndex((other) => samePlatform(other, platform)) === i);
}

/** The levels of x86-64 that this processor has; variants of the platform. */
export function amd64LevelsHere(): readonly string[] {
  const flags = new Set(/^flags\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1]?.split(" "));
  const levels: string[] = [];
  for (const [level, needed] of amd64Levels) {
    if (!needed.every((flag) => flags.has(flag))) break;
    levels.push(level);
  }
  return levels;
}
