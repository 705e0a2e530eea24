import type { Sandbox, SandboxAgent, SandboxHead } from "../helpers/sandbox/index.ts";

export type Random = () => number;

/** What was done to the fleet, until it was undone. Times are milliseconds of `performance.now()`. */
export interface Disturbance {
  readonly fault: string;
  readonly victim: string;
  readonly from: number;
  /** Absent while it lasts. */
  to?: number;
}

/** One way to disturb a fleet. */
export interface Fault {
  readonly name: string;
  /** How long it lasts, milliseconds. */
  readonly lastsMs: readonly [least: number, most: number];
  /** Whom it may hit now; none: not possible at this time. */
  victims(sandbox: Sandbox): readonly Victim[];
  /** Does it. @returns what undoes it: the fleet is whole again afterwards */
  inject(sandbox: Sandbox, victim: Victim): Promise<() => Promise<void>>;
  /** Why it cannot be done on this machine; absent when it can. */
  missing?(sandbox: Sandbox): Promise<string | undefined>;
}

export type Victim = SandboxAgent | SandboxHead | { readonly name: string };

export function agentsOf(sandbox: Sandbox): readonly SandboxAgent[] {
  return sandbox.agents.filter(({ process }) => process.running);
}
