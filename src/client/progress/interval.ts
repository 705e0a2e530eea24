/** A stretch of time in which something ran; Unix milliseconds. Without an end it still does. */
export interface Interval {
  readonly start: number;
  readonly stop: number | undefined;
}

/** The same times without overlaps, in order. */
export function mergeIntervals(intervals: Iterable<Interval>): readonly Interval[] {
  const merged: Interval[] = [];
  for (const next of [...intervals].sort((a, b) => a.start - b.start)) {
    const last = merged.at(-1);
    if (last === undefined || (last.stop !== undefined && last.stop < next.start)) merged.push(next);
    else if (last.stop !== undefined && (next.stop === undefined || next.stop > last.stop)) {
      merged[merged.length - 1] = { start: last.start, stop: next.stop };
    }
  }
  return merged;
}

/** Seconds covered; what still runs counts up to `now`. */
export function secondsOf(merged: readonly Interval[], now: number): number {
  return merged.reduce((sum, { start, stop }) => sum + Math.max(0, (stop ?? now) - start), 0) / 1000;
}
