import { statfs } from "node:fs/promises";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { TaskKind } from "../core/values/task.ts";

const outOfSpace = new Set(["ENOSPC", "EDQUOT"]);
/** SQLITE_FULL (sqlite.org/rescode.html); node:sqlite says it as `errcode`. */
const databaseFull = 13;

/**
 * A task's failure as it is reported: one for want of disk space here says where, and that another agent may have room.
 * @param root data directory of the agent
 */
export function reportedFailure(error: BuildError, kind: TaskKind, agentId: string, root: string): BuildError {
  if (!isOutOfSpace(error, kind)) return error;
  return new BuildError(Code.ResourceExhausted, `agent ${agentId} has no space left in ${root}: ${error.message}`, {
    cause: error,
    details: error.details,
    infrastructure: true,
  });
}

/** A disk with a smaller share of it free is as good as full. */
export const fullShare = 0.03;

/** @param directory on the disk in question */
export async function isDiskFull(directory: string): Promise<boolean> {
  const { bavail, blocks } = await statfs(directory);
  return bavail < blocks * fullShare;
}

/** True when this agent's disk, or its share of it, was too small. */
export function isOutOfSpace(error: BuildError, kind: TaskKind): boolean {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    const { code = "", errcode } = cause as NodeJS.ErrnoException & { readonly errcode?: number };
    if (outOfSpace.has(code) || (code === "ERR_SQLITE_ERROR" && errcode === databaseFull)) return true;
  }
  // From worker threads comes only the text. The same text of an export may be about the client's disk.
  return (
    error.code === Code.ResourceExhausted &&
    !kind.startsWith("export.") &&
    /\b(ENOSPC|EDQUOT)\b|no space left on device/i.test(error.message)
  );
}
