export type Unit = "s" | "ms" | "s/GB" | "MB/s" | "files/s" | "vertices/s" | "×";

/** Samples of one thing measured, in the order they were taken. */
export interface Figure {
  readonly name: string;
  readonly unit: Unit;
  readonly ours: readonly number[];
  /** The same by the peer, in the same run; none where there is nothing to compare with. */
  readonly peer?: readonly number[];
  readonly note?: string;
}

/** True where a larger figure is the better one. */
export function moreIsBetter(unit: Unit): boolean {
  return unit !== "s" && unit !== "ms" && unit !== "s/GB";
}
