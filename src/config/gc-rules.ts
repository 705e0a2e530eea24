import { BuildError } from "../core/errors/build-error.ts";
import { checkFilters } from "../core/values/containerd-filter.ts";
import type { FileSettings } from "./buildkitd-toml.ts";
import { ConfigError } from "./config-error.ts";
import type { GcRule } from "./gc-config.ts";
import { type DiskSpace, diskSpaceBytes } from "./quantities.ts";

const hourMs = 3_600_000;
const gigabyte = 1e9;

/**
 * Clean-up rules: those configured, else BuildKit's own with the configured bounds, else with bounds that suit the disk
 * (BuildKit cmd/buildkitd/config/gcpolicy.go, map h11).
 */
export function resolveGcRules(settings: FileSettings, diskBytes: number): readonly GcRule[] {
  const bytes = (space: DiskSpace | undefined) => diskSpaceBytes(space ?? { bytes: 0 }, diskBytes);
  if (settings.gcRules !== undefined) {
    return settings.gcRules.map((rule, index) => ({
      filters: readableFilters(rule.filters, index),
      all: rule.all,
      keepDurationMs: rule.keepDurationMs,
      reservedSpaceBytes: bytes(rule.reservedSpace),
      maxUsedSpaceBytes: bytes(rule.maxUsedSpace),
      minFreeSpaceBytes: bytes(rule.minFreeSpace),
    }));
  }
  const { reservedSpace, maxUsedSpace, minFreeSpace } = settings;
  const configured = [reservedSpace, maxUsedSpace, minFreeSpace].some((space) => space !== undefined);
  const bounds = configured
    ? {
        reservedSpaceBytes: bytes(reservedSpace),
        maxUsedSpaceBytes: bytes(maxUsedSpace),
        minFreeSpaceBytes: bytes(minFreeSpace),
      }
    : {
        reservedSpaceBytes: Math.min(bytes({ percent: 10 }), 10 * gigabyte),
        maxUsedSpaceBytes: Math.min(bytes({ percent: 80 }), 100 * gigabyte),
        minFreeSpaceBytes: bytes({ percent: 20 }),
      };
  const rule = { filters: [], all: false, keepDurationMs: 0, ...bounds };
  return [
    // What is easily made again, once it has not been used for two days.
    {
      filters: ["type==source.local", "type==exec.cachemount", "type==source.git.checkout"],
      all: false,
      keepDurationMs: 48 * hourMs,
      reservedSpaceBytes: 0,
      maxUsedSpaceBytes: 512e6,
      minFreeSpaceBytes: 0,
    },
    { ...rule, keepDurationMs: 60 * 24 * hourMs },
    rule,
    { ...rule, all: true },
  ];
}

/** @throws ConfigError */
function readableFilters(filters: readonly string[], index: number): readonly string[] {
  try {
    checkFilters(filters);
    return filters;
  } catch (error) {
    throw new ConfigError(`worker.oci.gcpolicy[${index}].filters: ${BuildError.from(error).message}`);
  }
}
