import type { Kind } from "./chaos-build.ts";
import type { Disturbance } from "./fault.ts";

/** How a build went. Times are milliseconds of `performance.now()`. */
export interface BuildReport {
  readonly kind: Kind;
  readonly name: string;
  /** Coordinator it was given to. */
  readonly head: string;
  readonly from: number;
  readonly to: number;
  /** Digest of its files; absent when it failed. */
  readonly digest?: string;
  readonly error?: string;
  readonly log: string;
  readonly sending: boolean;
  /** It had to be ended. */
  readonly hung: boolean;
}

/** Why a build may have failed (the fault table of the design); undefined when it may not. */
export function excuse(report: BuildReport, disturbances: readonly Disturbance[]): string | undefined {
  const { head, from, to, error = "", log, sending, hung } = report;
  if (hung) return undefined;
  const during = disturbances.filter((one) => one.from <= to && (one.to ?? Number.POSITIVE_INFINITY) >= from);
  if (during.some(({ fault, victim }) => fault === "kill -9 coordinator" && victim === head)) {
    return "its coordinator was killed";
  }
  if (sending && /agent \w+ was lost/.test(error)) return "the agent was lost that sent to its client";
  // 5xx and broken connections are tried again; a registry that is not there is an error at once, as with BuildKit.
  if (during.some(({ fault }) => fault === "restart registry") && /connection refused/.test(error)) {
    return "the registry was not there";
  }
  if (during.some(({ fault }) => fault === "full disk") && /No space left|ENOSPC|no space/i.test(`${error}\n${log}`)) {
    return "a step saw that its disk was full";
  }
  return undefined;
}
