import * as api from "../../api/gen/buildfleet.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { type GrpcServer, unary } from "../../grpc/index.ts";
import type { BuildExplainer, BuildExplanation, Cause, StepExplanation } from "../explain/index.ts";

const defaultMaxFiles = 20;
const largestMaxFiles = 10_000;

/** Registers `buildfleet.v1.Builds`. */
export function serveExplanations(server: GrpcServer, explainer: Pick<BuildExplainer, "explain"> | undefined): void {
  server.handle(
    "/buildfleet.v1.Builds/Explain",
    unary(api.ExplainRequest, api.ExplainResponse, async ({ build, step, maxFiles }, call) => {
      if (explainer === undefined) throw new BuildError(Code.Unimplemented, "builds are not recorded here");
      const query = { build, step, maxFiles: Math.min(maxFiles || defaultMaxFiles, largestMaxFiles) };
      return response(await explainer.explain(query, call.signal));
    }),
  );
}

function response({ build, compared, steps }: BuildExplanation): api.ExplainResponse {
  return { build: build.Ref, createdAt: build.CreatedAt, compared, steps: steps.map(stepMessage) };
}

function stepMessage({ step, reason, earlier, causes }: StepExplanation): api.StepExplanation {
  return {
    digest: step.digest,
    name: step.name,
    number: step.number ?? 0,
    how: step.how,
    reason,
    earlier: earlier && {
      build: earlier.build.Ref,
      createdAt: earlier.build.CreatedAt,
      digest: earlier.step.digest,
      name: earlier.step.name,
    },
    causes: causes.map(causeMessage),
    importedFrom: step.importedFrom ?? "",
    lostResult: step.lostResult === true,
  };
}

function causeMessage(cause: Cause): api.Cause {
  const message = api.Cause.fromPartial({ kind: cause.kind });
  switch (cause.kind) {
    case "part":
    case "moved":
      return { ...message, what: cause.what, before: cause.before, after: cause.after };
    case "session":
      return { ...message, what: cause.name, input: cause.input + 1 };
    case "input":
      return {
        ...message,
        what: cause.name,
        input: cause.input + 1,
        content: cause.contents !== undefined,
        files: cause.files && { changes: [...cause.files.changes], more: cause.files.more },
        becauseStep: cause.because?.step ?? "",
        because: cause.because?.causes.map(causeMessage) ?? [],
      };
    default:
      return message;
  }
}
