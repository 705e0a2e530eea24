import type { SolveProgress } from "../../core/values/solve-progress.ts";

/** Counts a build's steps as its record names them: by vertex, however often each was reported. */
export class StepCounter {
  readonly #all = new Set<string>();
  readonly #cached = new Set<string>();
  readonly #completed = new Set<string>();
  #warnings = 0;

  add(progress: SolveProgress): void {
    this.#warnings += progress.warnings.length;
    for (const vertex of progress.vertexes) {
      this.#all.add(vertex.digest);
      if (vertex.cached) this.#cached.add(vertex.digest);
      if (vertex.completedAt !== undefined) this.#completed.add(vertex.digest);
    }
  }

  get counts() {
    return {
      numTotalSteps: this.#all.size,
      numCachedSteps: this.#cached.size,
      numCompletedSteps: this.#completed.size,
      numWarnings: this.#warnings,
    };
  }
}
