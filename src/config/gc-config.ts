/** One rule of cache clean-up (map h10); rules are applied in order. Sizes are bytes, 0 = no limit. */
export interface GcRule {
  readonly filters: readonly string[];
  readonly all: boolean;
  /** Records used within this time are kept. */
  readonly keepDurationMs: number;
  readonly reservedSpaceBytes: number;
  readonly maxUsedSpaceBytes: number;
  readonly minFreeSpaceBytes: number;
}
