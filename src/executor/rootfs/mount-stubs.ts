import { lstatSync, readdirSync, rmdirSync, type Stats, statSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import { setTimes } from "../../util/sys/index.ts";
import { resolveInRoot } from "./resolve-in-root.ts";

/**
 * Remembers which mount points a root does not have yet, so that the empty files and directories the runtime makes for them
 * can go again when the step is over, and do not end up in its layer (BuildKit executor/stubs.go).
 */
export class MountStubs {
  readonly #root: string;
  readonly #missing: readonly string[];

  private constructor(root: string, missing: readonly string[]) {
    this.#root = root;
    this.#missing = missing;
  }

  /** @param recursive also remember the missing parents of a mount point */
  static record(root: string, destinations: readonly string[], recursive: boolean): MountStubs {
    const missing: string[] = [];
    for (const destination of destinations) {
      let path = tryResolve(root, destination);
      while (path !== undefined && path !== root && !exists(path)) {
        missing.push(path);
        if (!recursive) break;
        path = dirname(path);
      }
    }
    return new MountStubs(root, missing);
  }

  /** Removes what is still empty. Times of the directories above stay as they are. Never throws: a stub left is no failure. */
  remove(): void {
    for (const path of this.#missing) {
      // The step may have put links in the way.
      if (tryResolve(this.#root, path.slice(this.#root.length)) !== path) continue;
      if (tryResolve(this.#root, dirname(path).slice(this.#root.length)) !== dirname(path)) continue;
      try {
        removeEmpty(path);
      } catch {
        // A read-only root, for one.
      }
    }
  }
}

function tryResolve(root: string, path: string): string | undefined {
  try {
    return resolveInRoot(root, path);
  } catch {
    return undefined;
  }
}

function exists(path: string): boolean {
  try {
    lstatSync(path);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code !== "ENOENT" && code !== "ENOTDIR";
  }
}

function removeEmpty(path: string): void {
  const stat: Stats | undefined = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  const isDirectory = stat.isDirectory();
  if (isDirectory ? readdirSync(path).length > 0 : stat.size > 0) return;
  const { atimeNs, mtimeNs } = statSync(dirname(path), { bigint: true });
  if (isDirectory) rmdirSync(path);
  else unlinkSync(path);
  setTimes(dirname(path), { atimeNs, mtimeNs });
}
