import type { LinuxResources } from "../../api/gen/ops.ts";
import type { Vertex } from "../../core/seams/op.ts";
import type { LlbPayload } from "./llb-payload.ts";

/** One vertex for two builds that want it: as `known`, with the more relaxed of their resource limits. */
export function mergedVertex(known: Vertex, other: Vertex): Vertex {
  const payload = known.payload as LlbPayload;
  const linuxResources = relaxedResources(payload.linuxResources, (other.payload as LlbPayload).linuxResources);
  return linuxResources === payload.linuxResources ? known : { ...known, payload: { ...payload, linuxResources } };
}

/** The more relaxed limits, each by itself (BuildKit solver/llbsolver/linuxresources/merge.go). */
export function relaxedResources(
  a: LinuxResources | undefined,
  b: LinuxResources | undefined,
): LinuxResources | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return {
    memory: a.memory === 0 || b.memory === 0 ? 0 : Math.max(a.memory, b.memory),
    memorySwap: relaxedSwap(a.memorySwap, b.memorySwap),
    // 0 is the kernel's default, not the most.
    cpuShares: Math.max(a.cpuShares, b.cpuShares),
    ...relaxedBandwidth(a, b),
    cpusetCpus: joinedSet(a.cpusetCpus, b.cpusetCpus),
    cpusetMems: joinedSet(a.cpusetMems, b.cpusetMems),
  };
}

/** 0 is unset, -1 no limit. */
function relaxedSwap(a: number, b: number): number {
  if (a === 0 || b === 0) return a || b;
  return a === -1 || b === -1 ? -1 : Math.max(a, b);
}

type Bandwidth = Pick<LinuxResources, "cpuPeriod" | "cpuQuota">;

/** The pair with the larger share of time, never a mixture. Of equal shares that with the shorter period. */
function relaxedBandwidth(a: Bandwidth, b: Bandwidth): Bandwidth {
  const pair = ({ cpuPeriod, cpuQuota }: Bandwidth) => ({ cpuPeriod, cpuQuota });
  if (a.cpuQuota === 0 && b.cpuQuota === 0) return { cpuPeriod: 0, cpuQuota: 0 };
  if (a.cpuQuota === 0 || b.cpuQuota === 0) return pair(a.cpuQuota === 0 ? a : b);
  const comparable = a.cpuPeriod !== 0 && b.cpuPeriod !== 0;
  const shareOf = ({ cpuPeriod, cpuQuota }: Bandwidth) => (comparable ? cpuQuota / cpuPeriod : cpuQuota);
  if (shareOf(a) !== shareOf(b)) return pair(shareOf(a) > shareOf(b) ? a : b);
  if (comparable) return pair(a.cpuPeriod <= b.cpuPeriod ? a : b);
  return pair(a.cpuPeriod === 0 ? b : a);
}

/** All of both; empty is unset, so all there are. Of two texts where one cannot be read, the other. */
function joinedSet(a: string, b: string): string {
  if (a === "" || b === "") return "";
  const [inA, inB] = [parseSet(a), parseSet(b)];
  if (inA === undefined) return inB === undefined ? a : b;
  if (inB === undefined) return a;
  return formatSet([...new Set([...inA, ...inB])].sort((x, y) => x - y));
}

/** BuildKit util/cpuset: keeps a text from asking for a set without end. */
const maxNumber = 8192;

function parseSet(text: string): readonly number[] | undefined {
  const numbers: number[] = [];
  for (const part of text.split(",").map((piece) => piece.trim())) {
    if (part === "") continue;
    const match = /^\+?(\d+)(?:\s*-\s*\+?(\d+))?$/.exec(part);
    if (match === null) return undefined;
    const first = Number(match[1]);
    const last = Number(match[2] ?? first);
    if (last < first || last > maxNumber) return undefined;
    for (let number = first; number <= last; number++) numbers.push(number);
  }
  return numbers;
}

function formatSet(sorted: readonly number[]): string {
  const ranges: [number, number][] = [];
  for (const number of sorted) {
    const range = ranges.at(-1);
    if (range !== undefined && range[1] + 1 === number) range[1] = number;
    else ranges.push([number, number]);
  }
  return ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(",");
}
