import { chownSync, mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { resolveInRoot } from "./resolve-in-root.ts";

/** Makes a step's working directory where it is missing, owned by the step's user; it stays in the root. */
export function ensureWorkingDirectory(root: string, path: string, owner: { uid: number; gid: number }): void {
  let target: string;
  try {
    target = resolveInRoot(root, path);
  } catch (error) {
    throw new BuildError(
      Code.Unknown,
      `working dir ${path} points to invalid target: ${BuildError.from(error).message}`,
    );
  }
  try {
    make(target, owner);
  } catch (error) {
    throw BuildError.from(error).wrap(`failed to create working directory ${target}`);
  }
}

function make(path: string, owner: { uid: number; gid: number }): void {
  if (statSync(path, { throwIfNoEntry: false }) !== undefined) return;
  make(dirname(path), owner);
  mkdirSync(path, { mode: 0o755 });
  chownSync(path, owner.uid, owner.gid);
}
