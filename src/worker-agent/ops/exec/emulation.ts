import { accessSync, constants, readdirSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { hostPlatform, normalizePlatform, type Platform, samePlatform } from "../../../core/values/platform.ts";

/** QEMU's names of architectures, where they differ from Go's. */
const qemuNames: Readonly<Record<string, string>> = { arm64: "aarch64", amd64: "x86_64", "386": "i386" };

/** What each level of x86-64 asks of the processor (System V ABI; flags as in /proc/cpuinfo). */
const amd64Levels: readonly (readonly [string, readonly string[]])[] = [
  ["v2", ["cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"]],
  ["v3", ["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"]],
  ["v4", ["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"]],
];

/**
 * Platforms whose programs run here: by the processor itself, or by an emulator which the kernel knows for them (binfmt_misc).
 * The machine's own comes first.
 */
export function runnablePlatforms(host: Platform = hostPlatform()): Platform[] {
  const platforms = [host];
  const linux = (architecture: string, variant = "") =>
    platforms.push(normalizePlatform({ os: "linux", architecture, variant }));
  if (host.architecture === "amd64") {
    for (const level of amd64Variants()) linux("amd64", level);
    linux("386");
  }
  if (host.architecture === "arm") for (const variant of ["v6", "v5"]) linux("arm", variant);
  const registered = binfmtEntries();
  for (const architecture of [
    "amd64",
    "arm64",
    "riscv64",
    "s390x",
    "ppc64le",
    "386",
    "mips64",
    "mips64le",
    "loong64",
    "arm",
  ]) {
    if (registered.has(`qemu-${qemuNames[architecture] ?? architecture}`)) linux(architecture);
  }
  return platforms.filter((platform, i) => platforms.findIndex((other) => samePlatform(other, platform)) === i);
}

/** Program that runs a step's programs for another platform; mounted into the container and put before its arguments. */
export interface Emulator {
  readonly path: string;
}

export const emulatorDestination = "/dev/.buildkit_qemu_emulator";

/**
 * What a step for a platform needs to run here (BuildKit solver/llbsolver/ops/exec_binfmt.go).
 * @returns undefined when nothing, or when there is nothing that could help: programs for this machine run whatever platform
 *   the step names, others fail with the kernel's `exec format error`
 */
export function findEmulator(platform: Platform, searchPath = process.env["PATH"] ?? ""): Emulator | undefined {
  const wanted = normalizePlatform(platform);
  if (samePlatform(wanted, hostPlatform())) return undefined;
  const runnable = runnablePlatforms();
  if (runnable.some((candidate) => samePlatform(candidate, wanted))) return undefined;
  if (wanted.os === "linux" && !(wanted.architecture === hostPlatform().architecture)) {
    const name = `buildkit-qemu-${qemuNames[wanted.architecture] ?? wanted.architecture}`;
    for (const directory of searchPath.split(delimiter)) {
      const path = join(directory, name);
      try {
        accessSync(path, constants.X_OK);
        return { path };
      } catch {
        // Not there.
      }
    }
  }
  return undefined;
}

function amd64Variants(): string[] {
  const flags = new Set(/^flags\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1]?.split(" "));
  const levels: string[] = [];
  for (const [level, needed] of amd64Levels) {
    if (!needed.every((flag) => flags.has(flag))) break;
    levels.push(level);
  }
  return levels;
}

function binfmtEntries(): Set<string> {
  const directory = "/proc/sys/fs/binfmt_misc";
  try {
    return new Set(
      readdirSync(directory).filter((name) => {
        // Without the F flag the interpreter would have to be in the step's own root.
        const entry = name.startsWith("qemu-") ? readFileSync(join(directory, name), "utf8") : "";
        return entry.startsWith("enabled") && /^flags:.*F/m.test(entry);
      }),
    );
  } catch {
    return new Set();
  }
}
