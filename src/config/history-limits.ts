/** A build's record goes when it is both older than this and not among the newest ones; pinned ones stay. */
export interface HistoryLimits {
  readonly maxAgeMs: number;
  readonly maxEntries: number;
}
