import type { BuildHistoryRecord } from "../../api/gen/control.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { Logger } from "../../core/seams/logger.ts";
import { findBuild } from "../../core/values/find-build.ts";
import { msFromTimestamp } from "../front-door/timestamp.ts";
import { type FleetHistory, isLocal, type StepRecord } from "../history/index.ts";
import { differences, isExplained } from "./differences.ts";
import type { BuildExplanation, Cause, Reason, StepExplanation } from "./explanation.ts";
import { findSteps } from "./find-steps.ts";
import type { FleetListings } from "./fleet-listings.ts";
import { type NearestStep, NearestSteps } from "./nearest-steps.ts";
import type { Steps } from "./step-pairs.ts";

/** Older builds are not looked at. */
const maxBuilds = 256;

export interface ExplainQuery {
  /** See findBuild. */
  readonly build: string;
  /** See findSteps; empty for all steps that ran. */
  readonly step: string;
  /** Most files to name for each input. */
  readonly maxFiles: number;
}

export interface BuildExplainerOptions {
  readonly history: Pick<FleetHistory, "builds" | "running" | "steps">;
  readonly listings: Pick<FleetListings, "changes">;
  readonly logger: Logger;
}

/** Says of a recorded build why its steps were not served from cache, by comparing it with the builds before it (ADR-0009). */
export class BuildExplainer {
  readonly #options: BuildExplainerOptions;

  constructor(options: BuildExplainerOptions) {
    this.#options = options;
  }

  /** @throws BuildError NotFound, InvalidArgument, FailedPrecondition while the build runs */
  async explain(query: ExplainQuery, signal: AbortSignal): Promise<BuildExplanation> {
    const { history } = this.#options;
    const builds = history.builds();
    this.#refuseRunning(query.build, builds);
    const build = findBuild(builds, query.build);
    const steps = await history.steps(build.Ref);
    if (steps === undefined) {
      throw new BuildError(Code.NotFound, `of build ${build.Ref} it is not recorded how its steps were cached`);
    }
    const places = query.step === "" ? placesOfRuns(steps) : findSteps(steps, query.step);
    const earlier = builds.slice(builds.indexOf(build) + 1).slice(0, maxBuilds);
    const nearest = new NearestSteps(
      steps,
      places.filter((place) => wantsNearest(steps[place])),
    );
    let compared = 0;
    for (const each of earlier) {
      signal.throwIfAborted();
      const theirs = await this.#steps(each);
      if (theirs === undefined) continue;
      compared++;
      nearest.add(each, theirs);
    }
    const explained = places.map((place) => explainStep(build, steps, place, nearest.get(place)));
    const withFiles = explained.map((step) => this.#withFiles(step, query.maxFiles, signal));
    return { build, compared, steps: (await Promise.all(withFiles)).sort(byOrder) };
  }

  #refuseRunning(name: string, builds: readonly BuildHistoryRecord[]): void {
    const running = this.#options.history.running().find(({ Ref }) => Ref === name.split("/").at(-1));
    if (running === undefined || builds.some(({ Ref }) => Ref === running.Ref)) return;
    throw new BuildError(Code.FailedPrecondition, `build ${running.Ref} still runs; ask again when it is over`);
  }

  /** A record that cannot be read is passed over. */
  async #steps({ Ref }: BuildHistoryRecord): Promise<Steps | undefined> {
    try {
      return await this.#options.history.steps(Ref);
    } catch (error) {
      this.#options.logger.warn("steps of a build cannot be read", { ref: Ref, error: String(error) });
      return undefined;
    }
  }

  async #withFiles(step: StepExplanation, limit: number, signal: AbortSignal): Promise<StepExplanation> {
    const causes = step.causes.map(async (cause): Promise<Cause> => {
      if (cause.kind !== "input" || cause.contents === undefined) return cause;
      const { before, after } = cause.contents;
      const files = await this.#options.listings.changes(before, after, limit, signal);
      return files === undefined ? cause : { ...cause, files };
    });
    return { ...step, causes: await Promise.all(causes) };
  }
}

function placesOfRuns(steps: Steps): number[] {
  return steps.flatMap(({ how }, place) => (how === "ran" || how === "failed" ? [place] : []));
}

function wantsNearest(step: StepRecord | undefined): boolean {
  return isExplained(step) && step?.ignoreCache !== true;
}

function explainStep(
  build: BuildHistoryRecord,
  steps: Steps,
  place: number,
  nearest: NearestStep | undefined,
): StepExplanation {
  const step = steps[place] as StepRecord;
  if (step.how === "cached" || step.how === "joined" || step.how === "unused") {
    return { step, reason: step.how, causes: [] };
  }
  if (isLocal(step)) return { step, reason: "local", causes: [] };
  if (step.ignoreCache) return { step, reason: "no-cache", causes: [] };
  if (nearest === undefined) return { step, reason: "first", causes: [] };
  const earlier = { build: nearest.build, step: nearest.pairs.theirs[nearest.place] as StepRecord };
  if (nearest.same) return { step, reason: withoutResult(build, earlier), earlier, causes: [] };
  const buildArguments = new Set([build, nearest.build].flatMap(argumentsOf));
  const causes = differences(nearest.pairs, place, nearest.place, { buildArguments });
  const follows = causes.every(
    (cause) => cause.kind === "input" && isExplained(steps[step.inputs[cause.input]?.step ?? -1]),
  );
  return { step, reason: follows ? "follows" : "changed", earlier, causes };
}

/** Why a step ran though the same ran before. */
function withoutResult(build: BuildHistoryRecord, earlier: NonNullable<StepExplanation["earlier"]>): Reason {
  if (earlier.step.how === "failed") return "failed-before";
  const ended = msFromTimestamp(earlier.build.CompletedAt);
  return ended !== undefined && ended <= (msFromTimestamp(build.CreatedAt) ?? 0) ? "gone" : "concurrent";
}

function argumentsOf({ FrontendAttrs }: BuildHistoryRecord): string[] {
  const prefix = "build-arg:";
  return Object.keys(FrontendAttrs).flatMap((name) => (name.startsWith(prefix) ? [name.slice(prefix.length)] : []));
}

/** What started it first, then what follows, then what happens in every build. */
function byOrder(a: StepExplanation, b: StepExplanation): number {
  const rank = ({ reason }: StepExplanation) => (reason === "follows" ? 1 : reason === "local" ? 2 : 0);
  return rank(a) - rank(b) || (a.step.number ?? Infinity) - (b.step.number ?? Infinity) || 0;
}
