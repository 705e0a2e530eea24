import type { Step } from "./build-record.ts";
import type { Transfer } from "./build-trace.ts";
import type { DemoFleet } from "./fleet.ts";
import { formatBytes, type Narrator } from "./narrator.ts";
import { shortName } from "./step-name.ts";
import type { WebsiteBuild } from "./website-build.ts";

/** Which agent ran which container step, and when. */
export function showPlacement({ record }: WebsiteBuild, fleet: DemoFleet, narrator: Narrator): void {
  const steps = record.steps.filter((step) => step.agentId !== undefined);
  const origin = Math.min(...steps.map((step) => step.startedMs));
  const since = (ms: number) => ((ms - origin) / 1000).toFixed(1);
  narrator.table([
    ["agent", "start", "end", "step"],
    ...steps.map((step) => [
      fleet.agentName(step.agentId ?? ""),
      since(step.startedMs).padStart(5),
      since(step.completedMs ?? step.startedMs).padStart(5),
      shortName(step.name, narrator.width - 32),
    ]),
  ]);
  const used = new Set(steps.map((step) => step.agentId)).size;
  const together = Math.max(...steps.map((step) => steps.filter((other) => runsAt(other, step.startedMs)).length));
  narrator.done(
    `${steps.length} container steps on ${used} of ${fleet.agents.length} agents, up to ${together} at the same time`,
  );
}

function runsAt({ startedMs, completedMs = startedMs }: Step, atMs: number): boolean {
  return startedMs <= atMs && atMs < completedMs;
}

/** How much went from which agent to which. */
export function showTransfers(transfers: readonly Transfer[], fleet: DemoFleet, narrator: Narrator): void {
  const named = transfers.map(({ from, toAgentId, bytes }) => ({
    from: fleet.agents.find(({ address }) => address === from)?.name ?? from,
    to: fleet.agentName(toAgentId),
    bytes,
  }));
  const pairs = Map.groupBy(named, ({ from, to }) => `${from} to ${to}`);
  narrator.table(
    [...pairs]
      .sort()
      .map(([pair, blobs]) => [
        pair,
        `${blobs.length} ${blobs.length === 1 ? "layer" : "layers"}`,
        formatBytes(sum(blobs)).padStart(8),
      ]),
  );
  narrator.done(`${formatBytes(sum(named))} moved between agents, none of it through the coordinator`);
}

function sum(blobs: readonly { readonly bytes: number }[]): number {
  return blobs.reduce((total, { bytes }) => total + bytes, 0);
}
