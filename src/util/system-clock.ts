import type { Clock } from "../core/seams/clock.ts";
import { sleep } from "./abort.ts";

/** The machine's clock. */
export const systemClock: Clock = { now: () => Date.now(), sleep };

/** Begins at the machine's time and is not changed when that is set: for how long things take and last. */
export const steadyClock: Clock = { now: () => performance.timeOrigin + performance.now(), sleep };
