import type { BuildHistoryRecord } from "../../api/gen/control.ts";
import type { FileChange } from "../../contenthash/index.ts";
import type { StepRecord } from "../history/index.ts";

/** Why the steps of a build were, or were not, served from cache. */
export interface BuildExplanation {
  readonly build: BuildHistoryRecord;
  /** Earlier builds that were looked at. */
  readonly compared: number;
  readonly steps: readonly StepExplanation[];
}

export interface StepExplanation {
  readonly step: StepRecord;
  readonly reason: Reason;
  /** The nearest earlier run of the step. */
  readonly earlier?: { readonly build: BuildHistoryRecord; readonly step: StepRecord };
  /** What differs from it. */
  readonly causes: readonly Cause[];
}

/**
 * - `cached`, `joined`, `unused`: it did not run
 * - `local`: files of the client are read anew in every build; what they are used for goes by their content
 * - `no-cache`: it was asked to run whatever the cache has
 * - `first`: nothing like it was built in the builds that are recorded
 * - `changed`: it differs from the nearest earlier run by itself, or by files of the client
 * - `follows`: nothing of it differs but the results of steps that ran themselves
 * - `gone`: the same was built before, and its result is not there any more
 * - `failed-before`: the same ran before and failed, which leaves no result
 * - `concurrent`: the same was being built when this build began
 */
export type Reason =
  | "cached"
  | "joined"
  | "unused"
  | "local"
  | "no-cache"
  | "first"
  | "changed"
  | "follows"
  | "gone"
  | "failed-before"
  | "concurrent";

export type Cause =
  /** A named part of the op; one that is only in one of the two has no text in the other. */
  | { readonly kind: "part"; readonly what: string; readonly before?: string; readonly after?: string }
  /** The same name of an image or a branch stands for something else. */
  | { readonly kind: "moved"; readonly what: string; readonly before: string; readonly after: string }
  | InputCause
  /** What the client sent is used as a whole and not by its content, so that it is new in every session. */
  | { readonly kind: "session"; readonly input: number; readonly name: string }
  /** The keys differ in something that facts do not show. */
  | { readonly kind: "hidden" }
  /** An input's step was asked to run whatever the cache has. */
  | { readonly kind: "no-cache" };

export interface InputCause {
  readonly kind: "input";
  /** From 0. */
  readonly input: number;
  readonly name: string;
  /** Content digests, when it is their difference that counts. */
  readonly contents?: { readonly before: string; readonly after: string };
  /** Filled in from `contents`, if the listings are still there. */
  readonly files?: FileChanges;
  /** The step behind it that differs by itself, and how, when that is not explained as a step that ran. */
  readonly because?: { readonly step: string; readonly causes: readonly Cause[] };
}

export interface FileChanges {
  /** The first of them, by path. */
  readonly changes: readonly FileChange[];
  readonly more: number;
}
