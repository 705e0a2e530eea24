import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { State } from "./state.ts";

/** A user or group by number or by name. */
export type FileOwner = { readonly id: number } | { readonly name: string };

export interface Ownership {
  readonly user?: FileOwner;
  readonly group?: FileOwner;
}

interface CreateOptions {
  readonly owner?: Ownership | undefined;
  /** Unix seconds; the time of the step when absent. */
  readonly createdTime?: number | undefined;
}

export interface MkdirOptions extends CreateOptions {
  readonly makeParents?: boolean;
}

export interface CopyOptions extends CreateOptions {
  /** Number, or the symbolic form of chmod. */
  readonly mode?: number | string | undefined;
  readonly followSymlinks?: boolean;
  readonly contentsOnly?: boolean;
  readonly attemptUnpack?: boolean;
  readonly createDestPath?: boolean;
  readonly allowWildcard?: boolean;
  readonly allowEmptyWildcard?: boolean;
  readonly includePatterns?: readonly string[];
  readonly excludePatterns?: readonly string[];
  readonly requiredPaths?: readonly string[];
  readonly alwaysReplaceExisting?: boolean;
}

export interface RmOptions {
  readonly allowNotFound?: boolean;
  readonly allowWildcard?: boolean;
}

export type FileStep =
  | { readonly kind: "mkdir"; readonly path: string; readonly mode: number; readonly options: MkdirOptions }
  | {
      readonly kind: "mkfile";
      readonly path: string;
      readonly mode: number;
      readonly data: Uint8Array;
      readonly options: CreateOptions;
    }
  | { readonly kind: "symlink"; readonly oldPath: string; readonly newPath: string; readonly options: CreateOptions }
  | { readonly kind: "rm"; readonly path: string; readonly options: RmOptions }
  | {
      readonly kind: "copy";
      readonly source: State;
      readonly src: string;
      readonly dest: string;
      readonly options: CopyOptions;
    };

/**
 * File changes done one after the other by one FileOp. Immutable; relative paths mean the directory of the state it is
 * applied to (`State.file`), the source path of a copy that of its source.
 */
export class FileAction {
  static readonly none = new FileAction([]);
  readonly steps: readonly FileStep[];

  private constructor(steps: readonly FileStep[]) {
    this.steps = steps;
  }

  mkdir(path: string, mode: number, options: MkdirOptions = {}): FileAction {
    return this.#and({ kind: "mkdir", path, mode, options });
  }

  mkfile(path: string, mode: number, data: Uint8Array | string, options: CreateOptions = {}): FileAction {
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    return this.#and({ kind: "mkfile", path, mode, data: bytes, options });
  }

  /** @param oldPath what the link says */
  symlink(oldPath: string, newPath: string, options: CreateOptions = {}): FileAction {
    return this.#and({ kind: "symlink", oldPath, newPath, options });
  }

  rm(path: string, options: RmOptions = {}): FileAction {
    return this.#and({ kind: "rm", path, options });
  }

  copy(source: State, src: string, dest: string, options: CopyOptions = {}): FileAction {
    return this.#and({ kind: "copy", source, src, dest, options });
  }

  #and(step: FileStep): FileAction {
    return new FileAction([...this.steps, step]);
  }
}

/** Parses `user[:group]`, each a number or a name; `root` is 0. */
export function parseOwnership(text: string): Ownership {
  const colon = text.indexOf(":");
  if (colon < 0) return { user: parseOwner(text) };
  return { user: parseOwner(text.slice(0, colon)), group: parseOwner(text.slice(colon + 1)) };
}

function parseOwner(text: string): FileOwner {
  if (text === "root") return { id: 0 };
  if (!/^[+-]?[0-9]+$/.test(text)) return { name: text };
  const id = Number(text);
  return id >= -(2 ** 31) && id < 2 ** 31 ? { id: id >>> 0 } : { name: text };
}

/** @throws BuildError when there is nothing to do */
export function requireSteps(action: FileAction): void {
  if (action.steps.length === 0) throw new BuildError(Code.InvalidArgument, "action is required");
}
