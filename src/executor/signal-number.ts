import { constants } from "node:os";

/** `SIGKILL` → 9; 0 for none. */
export function signalNumber(name: string | null): number {
  return name === null ? 0 : (constants.signals[name as NodeJS.Signals] ?? 0);
}
