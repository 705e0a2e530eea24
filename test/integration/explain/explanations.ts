import type { ExplainResponse, StepExplanation } from "../../../src/api/gen/buildfleet.ts";
import { BuildsClient } from "../../../src/client/index.ts";
import type { BuildClient } from "../../helpers/sandbox/index.ts";

/** @param build default: the last one */
export async function explain(client: BuildClient, step = "", build = "^0"): Promise<ExplainResponse> {
  return new BuildsClient(client.grpc).explain({ build, step, maxFiles: 0 }, AbortSignal.timeout(60_000));
}

/** The one step of the last build with this in its name. */
export async function explainStep(client: BuildClient, name: string): Promise<StepExplanation> {
  const { steps } = await explain(client, name);
  const [step, ...others] = steps;
  if (step === undefined || others.length > 0) throw new Error(`${steps.length} steps are called ${name}`);
  return step;
}

/** Causes on one line each: `command: a -> b`, `input #1: changed a, added b`. */
export function causesOf({ causes }: Pick<StepExplanation, "causes">): string[] {
  return causes.map(({ kind, what, before, after, input, files, becauseStep, because }) => {
    if (kind !== "input") return `${kind === "part" ? "" : `${kind} `}${what}: ${before} -> ${after}`;
    const changes = files?.changes.map(({ path, change }) => ` ${change} ${path}`) ?? [];
    const behind = becauseStep === "" ? "" : ` because of ${becauseStep}: ${causesOf({ causes: because })}`;
    return `input #${input} ${what}:${changes}${behind}`;
  });
}
