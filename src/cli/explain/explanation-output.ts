import type { Cause, EarlierStep, ExplainResponse, StepExplanation } from "../../api/gen/buildfleet.ts";
import type { Timestamp } from "../../api/gen/google/protobuf/timestamp.ts";
import { timestampText } from "../../client/progress/index.ts";
import { changeLines } from "./change-lines.ts";

/** @param chosen steps were asked for, so that those of the client's files are no aside */
export function explanationText(explanation: ExplainResponse, chosen: boolean): string {
  const { build, createdAt, compared, steps } = explanation;
  const asides = chosen ? [] : steps.filter(({ reason }) => reason === "local");
  const shown = steps.filter((step) => !asides.includes(step));
  const blocks = shown.map((step) => [stepTitle(step), ...indent(stepLines(step, compared))].join("\n"));
  if (shown.length === 0) blocks.push("All steps were served from cache.");
  if (asides.length > 0) blocks.push(["Read anew in every build:", ...indent(asides.map(stepTitle))].join("\n"));
  const against = compared === 1 ? "1 earlier build" : `${compared} earlier builds`;
  return `${[`Build ${build}${at(createdAt)}, compared with ${against}`, ...blocks].join("\n\n")}\n`;
}

/** The response as JSON, without what is empty. */
export function explanationJson(explanation: ExplainResponse): unknown {
  const { build, createdAt, compared, steps } = explanation;
  return {
    build,
    createdAt: createdAt && timestampText(createdAt),
    compared,
    steps: steps.map(({ number, earlier, causes, importedFrom, lostResult, ...step }) => ({
      ...step,
      ...(number === 0 ? {} : { number }),
      ...(importedFrom === "" ? {} : { importedFrom }),
      ...(lostResult ? { lostResult } : {}),
      ...(earlier === undefined
        ? {}
        : { earlier: { ...earlier, createdAt: earlier.createdAt && timestampText(earlier.createdAt) } }),
      causes: causes.map(causeJson),
    })),
  };
}

function causeJson({ kind, what, before, after, input, content, files, becauseStep, because }: Cause): unknown {
  return {
    kind,
    ...(what === "" ? {} : { what }),
    ...(before === undefined ? {} : { before }),
    ...(after === undefined ? {} : { after }),
    ...(input === 0 ? {} : { input, content }),
    ...(files === undefined ? {} : { files: files.changes, ...(files.more === 0 ? {} : { moreFiles: files.more }) }),
    ...(becauseStep === "" ? {} : { because: { step: becauseStep, causes: because.map(causeJson) } }),
  };
}

function stepTitle({ number, name }: StepExplanation): string {
  return number === 0 ? name : `#${number} ${name}`;
}

function stepLines({ reason, earlier, causes, importedFrom, lostResult }: StepExplanation, compared: number): string[] {
  switch (reason) {
    case "cached":
      return [`was served from cache${importedFrom === "" ? "" : ` imported from ${importedFrom}`}`];
    case "joined":
      return ["took the result of an equal step of the same time"];
    case "unused":
      return ["did not run: its result was not needed"];
    case "local":
      return ["files of the client are read anew in every build; what uses them goes by their content"];
    case "no-cache":
      return ["was asked to run without cache (no-cache)"];
    case "first":
      return [compared === 0 ? "first build that is recorded" : "nothing like it was built before"];
    case "gone":
      return [
        `nothing differs from ${earlierText(earlier)}, but ${lostResult ? "its result could not be loaded" : "its result is not in the cache any more"}`,
      ];
    case "failed-before":
      return [`nothing differs from ${earlierText(earlier)}, which failed and left no result`];
    case "concurrent":
      return [`nothing differs from ${earlierText(earlier)}, which was not over when this build began`];
    case "follows":
      return ["follows from its inputs:", ...indent(causes.flatMap(causeLines))];
    default:
      return [`differs from ${earlierText(earlier)}:`, ...indent(causes.flatMap(causeLines))];
  }
}

function causeLines(cause: Cause): string[] {
  const { kind, what, before, after, input, content, files, becauseStep, because } = cause;
  switch (kind) {
    case "moved":
      return [`${what} moved from ${before} to ${after}`];
    case "part":
      return changeLines(what, before, after);
    case "no-cache":
      return ["was built without cache (no-cache)"];
    case "session":
      return [`input #${input} (${what}) is used as a whole and not by its content: it is new in every build`];
    case "input":
      return [
        `input #${input} (${what}) ${content ? "has other content" : "changed"}`,
        ...indent(files === undefined ? [] : fileLines(files)),
        ...indent(content && files === undefined ? ["which files is not known any more"] : []),
        ...(becauseStep === "" ? [] : indent([`because of ${becauseStep}:`, ...indent(because.flatMap(causeLines))])),
      ];
    default:
      return ["something that is not shown, as a password in a URL"];
  }
}

function fileLines({ changes, more }: NonNullable<Cause["files"]>): string[] {
  const lines = changes.map(({ path, change }) => `${change.padEnd("removed".length)}  ${path}`);
  return more === 0 ? lines : [...lines, `and ${more} more`];
}

function earlierText(earlier: EarlierStep | undefined): string {
  return `build ${earlier?.build}${at(earlier?.createdAt)}`;
}

/** To the second. */
function at(time: Timestamp | undefined): string {
  return time === undefined ? "" : ` of ${timestampText({ ...time, nanos: 0 })}`;
}

function indent(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`);
}
