import type { Op } from "../../api/gen/ops.ts";
import { sha256 } from "../../core/values/digest.ts";
import { formatPlatform, type Platform } from "../../core/values/platform.ts";

/**
 * Names what a step does without what it does it to: the command, its directory and its platform. Steps that are alike in this
 * take about as long. Undefined for what runs no command. Safe as a key.
 */
export function reducedVertex(op: Op, platform: Platform): string | undefined {
  if (op.op?.$case !== "exec") return undefined;
  const { args = [], cwd = "" } = op.op.value.meta ?? {};
  return sha256(JSON.stringify([args, cwd, formatPlatform(platform)])).slice("sha256:".length);
}
