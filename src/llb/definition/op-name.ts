import type { FileAction, Op } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";

/**
 * What a vertex is called when its definition gives it no name (map c4; BuildKit solver/llbsolver/vertex.go llbOpName).
 * @param inputNames names of the input vertices
 * @throws BuildError on a diff of inputs that are not there
 */
export function opName({ op }: Op, inputNames: readonly string[]): string {
  switch (op?.$case) {
    case "source":
      return op.value.identifier;
    case "exec":
      return (op.value.meta?.args ?? []).join(" ");
    case "file":
      return op.value.actions
        .map(actionName)
        .filter((name) => name !== undefined)
        .join(", ");
    case "build":
      return "build";
    case "merge":
      return `merge (${inputNames.join(", ")})`;
    case "diff":
      return `diff ${sideName(op.value.lower?.input, inputNames)} -> ${sideName(op.value.upper?.input, inputNames)}`;
    case "passthrough":
      return `passthrough ${op.value.id}`;
    default:
      return "unknown";
  }
}

function actionName({ action }: FileAction): string | undefined {
  switch (action?.$case) {
    case "mkdir":
      return `mkdir ${action.value.path}`;
    case "mkfile":
      return `mkfile ${action.value.path}`;
    case "symlink":
      return `symlink ${action.value.newpath} -> ${action.value.oldpath}`;
    case "rm":
      return `rm ${action.value.path}`;
    case "copy":
      return `copy ${action.value.src} ${action.value.dest}`;
    default:
      return undefined;
  }
}

function sideName(input: number | undefined, inputNames: readonly string[]): string {
  if (input === -1) return "scratch";
  const name = input === undefined ? undefined : inputNames[input];
  if (name === undefined) throw new BuildError(Code.Unknown, `invalid diff input index ${input}`);
  return `(${name})`;
}
