import { posix } from "node:path";
import { InitMessage } from "../../api/gen/gateway.ts";
import { type ExecOp, type FileOp, Mount, MountType, NetMode } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { ContainerRequest } from "../../core/seams/gateway-container.ts";
import type { Edge } from "../../core/seams/op.ts";
import type { Ref } from "../../core/values/layer.ts";
import type { LlbPayload } from "../../llb/definition/index.ts";
import type { SolveError } from "./solve-error.ts";

/** A container in the state of a failed step. */
export interface ShellPlan {
  readonly request: Omit<ContainerRequest, "platform" | "constraints">;
  /** Of the request's mounts. An edge must be evaluated first. */
  readonly refs: readonly (Ref | Edge | undefined)[];
  /** A process as the step's, with a shell in place of its command. */
  readonly process: InitMessage;
  /** What is otherwise than it was for the step, one sentence each. */
  readonly notes: readonly string[];
}

export interface ShellPlanOptions {
  /** What the step began with, in place of what it left. */
  readonly inputs: boolean;
  /** The client that gave the step its secrets is still there. */
  readonly hasClient: boolean;
}

/** Where what is not part of the root shows: the files to copy, the input whose files are missing. */
const inputPath = "/.input";
const noShell = new BuildError(Code.FailedPrecondition, "the step failed before it had files to look at");

/** @throws BuildError FailedPrecondition for steps that have no files */
export function shellPlan(step: SolveError, options: ShellPlanOptions): ShellPlan {
  const { op } = (step.vertex.payload as LlbPayload).op;
  if (op?.$case !== "exec" && op?.$case !== "file") throw noShell;
  if (step.subject?.kind === "cache") return inputPlan(step, step.subject.index, op);
  return op.$case === "exec" ? execPlan(step, op.value, options) : filePlan(step, op.value, options);
}

function execPlan(step: SolveError, exec: ExecOp, { inputs, hasClient }: ShellPlanOptions): ShellPlan {
  const { args = [], env = [], cwd = "", user = "", hostname = "", extraHosts = [] } = exec.meta ?? {};
  const refs = inputs ? step.inputs : step.results;
  const isSecret = ({ mountType }: Mount) => mountType === MountType.SECRET || mountType === MountType.SSH;
  const shown = exec.mounts
    .map((mount, index) => ({ mount: { ...mount, dest: posix.resolve("/", cwd, mount.dest) }, ref: refs[index] }))
    .filter(({ mount }) => hasClient || !isSecret(mount));
  const secrets = [...exec.mounts.filter(isSecret).map(({ dest }) => dest), ...exec.secretenv.map(({ name }) => name)];
  return {
    request: {
      mounts: shown.map(({ mount }) => ({ mount })),
      network: exec.network,
      hostname,
      extraHosts: extraHosts.map(({ Host, IP }) => ({ host: Host, ip: IP })),
    },
    refs: shown.map(({ ref }) => ref),
    process: InitMessage.fromPartial({
      Meta: { args: [shellOf(args)], env, cwd, user },
      Security: exec.security,
      secretenv: hasClient ? exec.secretenv : [],
    }),
    notes: [
      ...(secrets.length === 0 || hasClient
        ? []
        : [`without the secrets of the step (${secrets.join(", ")}): the client that has them is gone`]),
      ...(exec.cdiDevices.length === 0
        ? []
        : [`without the devices of the step (${exec.cdiDevices.map(({ name }) => name).join(", ")})`]),
      ...(exec.mounts.some(({ mountType }) => mountType === MountType.CACHE)
        ? ["cache mounts are those of now; what is written there stays"]
        : []),
    ],
  };
}

/** The root is that of the action that failed; what it was to copy from lies beside it. */
function filePlan(step: SolveError, { actions }: FileOp, { inputs }: ShellPlanOptions): ShellPlan {
  const index = step.results.findLastIndex((ref) => ref !== undefined);
  const action = actions[index];
  if (action === undefined) throw noShell;
  const count = step.inputs.length;
  const before = step.inputs[rootInput(actions, index, count)];
  const source = action.secondaryInput;
  const from = source < count ? step.inputs[source] : step.results[source - count];
  return besideRoot(inputs ? before : step.results[index], from, "what was to be copied from");
}

/** The step came to nothing as files of this input are missing. The root may never have been made. */
function inputPlan(step: SolveError, input: number, op: NonNullable<LlbPayload["op"]["op"]>): ShellPlan {
  const [ref] = step.inputs;
  const edges = step.vertex.inputs;
  const root =
    op.$case === "exec"
      ? (op.value.mounts.find(({ dest }) => dest === "/")?.input ?? -1)
      : op.$case === "file"
        ? rootInput(op.value.actions, op.value.actions.length - 1, edges.length)
        : -1;
  if (root === input) return besideRoot(ref, undefined, "");
  return besideRoot(edges[root], ref, "the input that lacks files");
}

/** Input which the action at `index` goes back to. */
function rootInput(actions: FileOp["actions"], index: number, inputs: number): number {
  let input = index + inputs;
  while (input >= inputs) input = actions[input - inputs]?.input ?? -1;
  return input;
}

function besideRoot(root: Ref | Edge | undefined, other: Ref | undefined, what: string): ShellPlan {
  const mounts = [Mount.fromPartial({ dest: "/" })];
  if (other !== undefined) mounts.push(Mount.fromPartial({ dest: inputPath, readonly: true }));
  return {
    request: { mounts: mounts.map((mount) => ({ mount })), network: NetMode.UNSET },
    refs: other === undefined ? [root] : [root, other],
    process: InitMessage.fromPartial({ Meta: { args: [shellOf([])], cwd: "/" } }),
    notes: other === undefined ? [] : [`${what} is at ${inputPath}`],
  };
}

/** The shell that the step's command ran in, if it did. */
function shellOf([program = ""]: readonly string[]): string {
  return /(^|\/)(ba|da|a|z|k)?sh$/.test(program) ? program : "/bin/sh";
}
