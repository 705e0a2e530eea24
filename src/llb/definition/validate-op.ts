import type { Op } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";

/** @throws BuildError when the op can never run (BuildKit solver/llbsolver/ops/opsutils/validate.go) */
export function validateOp(op: Op): void {
  const problem = findProblem(op);
  if (problem !== undefined) throw new BuildError(Code.Unknown, problem);
}

function findProblem({ op, inputs }: Op): string | undefined {
  switch (op?.$case) {
    case "exec": {
      const { meta, mounts } = op.value;
      if (meta === undefined) return "invalid exec op with no meta";
      if (meta.args.length === 0) return "invalid exec op with no args";
      if (mounts.length === 0) return "invalid exec op with no mounts";
      return mounts.some(({ dest }) => dest === "/") ? undefined : "invalid exec op with no rootfs";
    }
    case "file":
      return op.value.actions.length === 0 ? "invalid file op with no actions" : undefined;
    case "diff": {
      const { lower, upper } = op.value;
      return lower === undefined || upper === undefined ? "invalid diff op with nil lower or upper input" : undefined;
    }
    case "passthrough": {
      const { id, outputs } = op.value;
      if (id === "") return "invalid passthrough op with no id";
      if (outputs.length === 0) return "invalid passthrough op with no outputs";
      const bad = outputs.find((input) => input < 0 || (inputs.length > 0 && input >= inputs.length));
      return bad === undefined ? undefined : `invalid passthrough output input index ${bad}`;
    }
    default:
      return undefined;
  }
}
