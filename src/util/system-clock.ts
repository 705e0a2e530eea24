import type { Clock } from "../core/seams/clock.ts";
import { sleep } from "./abort.ts";

/** The machine's clock. */
export const systemClock: Clock = { now: () => Date.now(), sleep };
