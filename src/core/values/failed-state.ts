import type { LayerInfo, Ref } from "./layer.ts";

/** What a failed step leaves on its agent, as refs that a container can be made of. */
export interface FailedState {
  /** By mount of an exec, by action of a file op. Null where nothing was written. */
  readonly results: readonly (Ref | null)[];
  /** Layers made for `results`. */
  readonly layers: readonly LayerInfo[];
  /** Of a file op: index of the action whose output could not be made. */
  readonly action?: number;
  /** The kernel killed a process of the step for want of memory, though the step was promised no limit; what it used at most. */
  readonly outOfMemory?: { readonly peakMemoryBytes: number };
}
