import type { LinuxResources } from "../../../api/gen/ops.ts";
import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";

/** Resource limits of RUN steps among the frontend attributes; undefined when there are none. @throws BuildError */
export function parseLinuxResources(opts: Readonly<Record<string, string>>): LinuxResources | undefined {
  const read = (key: string, check: (value: number) => boolean, rule: string): number => {
    const text = opts[key];
    if (!text) return 0;
    if (!/^[+-]?\d+$/.test(text)) {
      throw invalid(`invalid ${key} value: ${text}: strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
    }
    const value = Number(text);
    if (!check(value)) throw invalid(`invalid ${key} value: ${text}: ${rule}`);
    return value;
  };
  const positive = (key: string) => read(key, (value) => value > 0, "must be > 0");
  const resources: LinuxResources = {
    memory: positive("memory"),
    memorySwap: read("memswap", (value) => value === -1 || value > 0, "must be -1 (unlimited) or > 0"),
    cpuShares: positive("cpushares"),
    cpuPeriod: positive("cpuperiod"),
    cpuQuota: positive("cpuquota"),
    cpusetCpus: cpuset("cpusetcpus", opts["cpusetcpus"] ?? ""),
    cpusetMems: cpuset("cpusetmems", opts["cpusetmems"] ?? ""),
  };
  return Object.values(resources).some((value) => value !== 0 && value !== "") ? resources : undefined;
}

/** `0-3,7` */
function cpuset(key: string, text: string): string {
  for (const part of text === "" ? [] : text.split(",")) {
    const range = /^\s*(\d+)(?:-(\d+))?\s*$/.exec(part);
    if (range === null || (range[2] !== undefined && Number(range[2]) < Number(range[1]))) {
      throw invalid(`invalid ${key} value: ${text}: invalid cpuset range ${JSON.stringify(part)}`);
    }
  }
  return text;
}

function invalid(message: string): BuildError {
  return new BuildError(Code.Unknown, message);
}
