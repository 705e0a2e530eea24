import type { Fault } from "./fault.ts";
import { agentsOf } from "./fault.ts";

const hourMs = 3_600_000;

/** Wall clocks that are set while builds run, and set right again. */
export const clockFaults: readonly Fault[] = [
  ofClock("clock an hour ahead", hourMs),
  ofClock("clock an hour back", -hourMs),
];

function ofClock(name: string, shiftMs: number): Fault {
  return {
    name,
    lastsMs: [500, 8000],
    victims: (sandbox) => [...agentsOf(sandbox), ...sandbox.heads],
    inject: async (sandbox, victim) => {
      await sandbox.setClock(victim, shiftMs);
      return () => sandbox.setClock(victim, 0);
    },
  };
}
