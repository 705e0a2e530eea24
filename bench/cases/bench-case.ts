import type { Figure } from "../figure.ts";
import type { Workbench } from "../workbench.ts";

/** One thing measured. */
export interface BenchCase {
  /** For `--only`. */
  readonly name: string;
  /** What is measured, in one line. */
  readonly about: string;
  run(bench: Workbench): Promise<Figure[]>;
}
