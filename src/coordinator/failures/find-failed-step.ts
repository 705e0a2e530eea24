import { type BuildHistoryEvent, BuildHistoryEventType } from "../../api/gen/control.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { BuildHistory } from "../front-door/index.ts";
import type { FailedBuild, FailedSteps } from "./failed-steps.ts";
import type { SolveError } from "./solve-error.ts";

export interface FailedStepQuery {
  /** A build's ref or the beginning of one; empty for the last one that failed. */
  readonly build: string;
  /** Beginning of a vertex digest, or part of a name; empty for the last that failed. */
  readonly step: string;
}

type Kept = Pick<FailedSteps, "builds" | "keepMs">;

/** @throws BuildError NotFound or FailedPrecondition, with what became of the build that is meant */
export async function findFailedStep(
  query: FailedStepQuery,
  kept: Kept,
  history: Pick<BuildHistory, "listen">,
  signal: AbortSignal,
): Promise<{ readonly build: FailedBuild; readonly step: SolveError }> {
  const build = chosenBuild(query.build, kept.builds) ?? (await whyNone(query.build, kept, history, signal));
  return { build, step: chosenStep(query.step, build) };
}

function chosenBuild(wanted: string, builds: readonly FailedBuild[]): FailedBuild | undefined {
  if (wanted === "") return builds.at(-1);
  const found = builds.filter(({ ref }) => ref.startsWith(wanted));
  const exact = found.find(({ ref }) => ref === wanted);
  if (exact === undefined && found.length > 1) throw ambiguous(wanted, found);
  return exact ?? found[0];
}

function chosenStep(wanted: string, { ref, steps }: FailedBuild): SolveError {
  const matches = ({ vertex: { digest, name } }: SolveError) =>
    digest.startsWith(wanted) || digest.startsWith(`sha256:${wanted}`) || name.includes(wanted);
  const found = steps.findLast(matches);
  if (found !== undefined) return found;
  const names = steps.map(({ vertex }) => vertex.name).join(", ");
  throw new BuildError(
    Code.NotFound,
    `no failed step of build ${ref} matches ${JSON.stringify(wanted)}: there is ${names}`,
  );
}

async function whyNone(
  wanted: string,
  { keepMs }: Kept,
  history: Pick<BuildHistory, "listen">,
  signal: AbortSignal,
): Promise<never> {
  const query = { activeOnly: false, ref: "", earlyExit: true, filters: [], limit: 0 };
  const events: BuildHistoryEvent[] = [];
  for await (const event of history.listen(query, signal)) events.push(event);
  const failed = (event: BuildHistoryEvent) => event.record?.error !== undefined;
  const found = events.filter((event) => (wanted === "" ? failed(event) : event.record?.Ref.startsWith(wanted)));
  const [event] = found;
  if (event?.record === undefined) {
    const what = wanted === "" ? "no build has failed" : `no build ${JSON.stringify(wanted)}`;
    throw new BuildError(Code.NotFound, what);
  }
  const { Ref } = event.record;
  if (wanted !== "" && Ref !== wanted && found.length > 1) {
    throw ambiguous(
      wanted,
      found.map(({ record }) => ({ ref: record?.Ref ?? "" })),
    );
  }
  if (event.type === BuildHistoryEventType.STARTED) {
    throw new BuildError(Code.FailedPrecondition, `build ${Ref} is still running`);
  }
  if (!failed(event)) throw new BuildError(Code.FailedPrecondition, `build ${Ref} did not fail`);
  throw new BuildError(
    Code.FailedPrecondition,
    `nothing is kept of build ${Ref}, which failed: failed steps are kept for ${duration(keepMs)} (--keep-failed), by the coordinator that ran the build`,
  );
}

function ambiguous(wanted: string, found: readonly { readonly ref: string }[]): BuildError {
  const refs = found.map(({ ref }) => ref).join(", ");
  return new BuildError(Code.InvalidArgument, `several builds begin with ${JSON.stringify(wanted)}: ${refs}`);
}

function duration(ms: number): string {
  return ms % 60_000 === 0 ? `${ms / 60_000} min` : `${ms / 1000} s`;
}
