import type { OciPlatform } from "../../core/values/descriptor.ts";
import { normalizePlatform, type Platform } from "../../core/values/platform.ts";

/**
 * Says which platforms of an index will run on a wanted one, and which is best (containerd platforms.Only): the platform
 * itself, then what it can also run, e.g. amd64 → 386, arm/v7 → arm/v6 → arm/v5, arm64 → arm/v8 → arm/v7 ….
 */
export class PlatformMatcher {
  readonly #candidates: readonly Platform[];

  constructor(wanted: Platform) {
    this.#candidates = platformVector(normalizePlatform(wanted)).map(normalizePlatform);
  }

  matches(platform: OciPlatform): boolean {
    return this.#rank(platform) !== undefined;
  }

  /** The best of the entries; one without a platform counts as possible but worst. The first wins a tie. */
  best<T extends { readonly platform?: OciPlatform }>(entries: readonly T[]): T | undefined {
    const worst = this.#candidates.length;
    let chosen: { readonly entry: T; readonly rank: number; readonly features: number } | undefined;
    for (const entry of entries) {
      const rank = entry.platform === undefined ? worst : this.#rank(entry.platform);
      if (rank === undefined) continue;
      const features = entry.platform?.["os.features"]?.length ?? 0;
      const better = chosen === undefined || rank < chosen.rank || (rank === chosen.rank && features > chosen.features);
      if (better) chosen = { entry, rank, features };
    }
    return chosen?.entry;
  }

  #rank(platform: OciPlatform): number | undefined {
    const other = fromOci(platform);
    const index = this.#candidates.findIndex(
      (candidate) =>
        candidate.os === other.os &&
        candidate.architecture === other.architecture &&
        candidate.variant === other.variant &&
        sameWindowsBuild(candidate, other) &&
        other.osFeatures.every((feature) => feature === "win32k" || candidate.osFeatures.includes(feature)),
    );
    return index < 0 ? undefined : index;
  }
}

export function fromOci(platform: OciPlatform): Platform {
  return normalizePlatform({
    os: platform.os,
    architecture: platform.architecture,
    variant: platform.variant ?? "",
    osVersion: platform["os.version"] ?? "",
    osFeatures: platform["os.features"] ?? [],
  });
}

function platformVector(platform: Platform): Platform[] {
  const { architecture } = platform;
  const withVariant = (arch: string, variant: string): Platform => ({ ...platform, architecture: arch, variant });
  if (architecture === "amd64") {
    return [platform, ...below(platform.variant, 1).map((v) => withVariant("amd64", v)), withVariant("386", "")];
  }
  if (architecture === "arm") {
    return [platform, ...below(platform.variant, 5).map((variant) => withVariant("arm", variant))];
  }
  if (architecture === "arm64") {
    const variants = arm64Variants(platform.variant === "" ? "v8" : platform.variant);
    return [
      ...variants.map((variant) => withVariant("arm64", variant)),
      ...["v8", "v7", "v6", "v5"].map((variant) => withVariant("arm", variant)),
    ];
  }
  return [platform];
}

/** `v7`, 5 → `v6`, `v5`. */
function below(variant: string, lowest: number): string[] {
  const version = Number(/^v(\d+)$/.exec(variant)?.[1] ?? 0);
  return Array.from({ length: Math.max(0, version - lowest) }, (_, step) => `v${version - 1 - step}`);
}

/** v9.x also runs v9.(x-1)… and v8.(x+5)…, v8.x also v8.(x-1)…. */
function arm64Variants(variant: string): string[] {
  const match = /^v([89])(?:\.(\d))?$/.exec(variant);
  if (match === null) return [];
  const minor = Number(match[2] ?? 0);
  const series = (major: number, from: number) =>
    Array.from({ length: from + 1 }, (_, step) => (from - step === 0 ? `v${major}` : `v${major}.${from - step}`));
  if (match[1] === "8") return series(8, minor);
  return [...series(9, minor), ...series(8, Math.min(minor + 5, 9))];
}

/** Windows containers share the kernel: the builds (10.0.**17763**) must agree when both say one. */
function sameWindowsBuild(wanted: Platform, other: Platform): boolean {
  if (wanted.os !== "windows" || wanted.osVersion === "" || other.osVersion === "") return true;
  const build = (version: string) => version.split(".").slice(0, 3).join(".");
  return build(wanted.osVersion) === build(other.osVersion);
}
