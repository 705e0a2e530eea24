import type { ProgressWriter } from "../../core/seams/progress.ts";

const intervalMs = 100;

/** One progress line for the bytes of a transfer, written ten times a second at most. Call `end` on every path. */
export function transferProgress(
  progress: ProgressWriter,
  id: string,
): { readonly update: (bytes: number) => void; readonly end: () => void } {
  const startedAt = Date.now();
  const line = { id, name: "transferring", startedAt };
  let current = 0;
  let writtenAt = performance.now();
  progress.status(line);
  return {
    update: (bytes) => {
      current = bytes;
      const now = performance.now();
      if (now - writtenAt < intervalMs) return;
      writtenAt = now;
      progress.status({ ...line, current });
    },
    end: () => progress.status({ ...line, current, completedAt: Date.now() }),
  };
}
