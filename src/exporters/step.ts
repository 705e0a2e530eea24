import type { ProgressWriter } from "../core/seams/progress.ts";

/** Runs one named part of an export and shows it as a progress line (BuildKit progress.OneOff). */
export async function reportStep<T>(progress: ProgressWriter, id: string, work: () => Promise<T>): Promise<T> {
  const startedAt = Date.now();
  progress.status({ id, startedAt });
  try {
    return await work();
  } finally {
    progress.status({ id, startedAt, completedAt: Date.now() });
  }
}
