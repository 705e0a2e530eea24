/**
 * Loaded into a daemon before anything else: its wall clock is off by as many milliseconds as the file `SHIFTED_CLOCK` says, none
 * without the file. Timers and `performance.now()` go on as they do, as when somebody sets a machine's clock.
 */
import { readFileSync } from "node:fs";

const path = process.env["SHIFTED_CLOCK"] ?? "";
/** The file is read this often, milliseconds. */
const readEveryMs = 20;
const machine = Date;
let readAt = Number.NEGATIVE_INFINITY;
let shiftMs = 0;

function now(): number {
  if (performance.now() - readAt > readEveryMs) {
    readAt = performance.now();
    try {
      shiftMs = Number(readFileSync(path, "utf8"));
    } catch {
      shiftMs = 0;
    }
  }
  return machine.now() + shiftMs;
}

globalThis.Date = class extends machine {
  constructor(...args: readonly unknown[]) {
    if (args.length === 0) super(now());
    else super(...(args as [number]));
  }

  static override now(): number {
    return now();
  }
} as DateConstructor;
