import * as gateway from "../../src/api/gen/gateway.ts";
import { type Definition, Op } from "../../src/api/gen/ops.ts";
import { BuildError } from "../../src/core/errors/build-error.ts";
import { sha256 } from "../../src/core/values/digest.ts";
import { FileAction, marshalState, scratch } from "../../src/llb/builder/index.ts";
import type { GatewayBuild } from "../integration/gateway/gateway-build.ts";
import type { DockerfileCase } from "./dockerfile-generator.ts";

const context = marshalState(scratch().file(FileAction.none.mkfile("/f", 0o644, "f")));

/** Image configs of the contexts `base` and `other`. */
const configs: Readonly<Record<string, object>> = {
  base: {
    architecture: "amd64",
    os: "linux",
    config: {
      Env: ["PATH=/usr/bin:/bin", "A=from base"],
      Cmd: ["sh"],
      WorkingDir: "/base",
      User: "daemon",
      ExposedPorts: { "22/tcp": {} },
      Labels: { foo: "bar" },
      Shell: ["/bin/ash", "-c"],
    },
    rootfs: { type: "layers", diff_ids: [] },
    history: [{ created: "2020-01-01T00:00:00Z", created_by: "base" }],
  },
  other: {
    architecture: "arm64",
    os: "linux",
    config: {
      Env: ["B=x"],
      OnBuild: ["RUN echo $B", `ENV FOO=\${B}y`, "COPY --from=base /f /g"],
      Volumes: { "/v": {} },
    },
    rootfs: { type: "layers", diff_ids: [] },
  },
};

/** A way to ask for the same Dockerfile. */
export const questions = ["convert", "frontend.lint", "frontend.outline", "frontend.targets"] as const;
export type Question = (typeof questions)[number];

/** What a daemon makes of a Dockerfile, in a form that can be compared; what differs from run to run is left out. */
export async function convert(build: GatewayBuild, { dockerfile, options }: DockerfileCase, question: Question) {
  const request = gateway.SolveRequest.fromPartial({
    Frontend: "dockerfile.v0",
    FrontendOpt: {
      ...Object.fromEntries(Object.keys(configs).map((name) => [`context:${name}`, `input:${name}`])),
      ...Object.fromEntries(
        Object.entries(configs).map(([name, config]) => [
          `input-metadata:${name}`,
          JSON.stringify({ "containerimage.config": Buffer.from(JSON.stringify(config)).toString("base64") }),
        ]),
      ),
      // Times of history entries would be those of the run.
      "build-arg:SOURCE_DATE_EPOCH": "1700000000",
      ...options,
      ...(question === "convert" ? {} : { requestid: question, "frontend.caps": "moby.buildkit.frontend.subrequests" }),
    },
    FrontendInputs: {
      ...Object.fromEntries(["context", ...Object.keys(configs)].map((name) => [name, context])),
      dockerfile: marshalState(scratch().file(FileAction.none.mkfile("/Dockerfile", 0o644, dockerfile))),
    },
    allowResultReturn: true,
    allowResultArrayRef: true,
  });
  try {
    const { result } = await build.call("Solve", gateway.SolveRequest, gateway.SolveResponse, request);
    return { metadata: metadataOf(result), graphs: graphsOf(result) };
  } catch (error) {
    return failureOf(BuildError.from(error));
  }
}

function metadataOf(result: gateway.Result | undefined): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(result?.metadata ?? {})
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => {
        const text = Buffer.from(value).toString();
        if (key === "result.json") return [key, sortWarnings(JSON.parse(text))];
        // Tells the same in words, in the order of the warnings.
        if (key === "result.txt") return [key, ""];
        return [key, /config/.test(key) ? JSON.parse(text) : text];
      }),
  );
}

/** Variables that one word misses are reported in any order. */
function sortWarnings(report: {
  warnings?: readonly object[] | null;
  buildError?: { readonly message: string };
}): object {
  const { warnings, buildError } = report;
  return {
    ...report,
    warnings: warnings?.map((warning) => JSON.stringify(warning)).sort(),
    buildError: buildError && { ...buildError, message: stable(buildError.message) },
  };
}

function graphsOf(result: gateway.Result | undefined): Record<string, unknown> {
  const refs =
    result?.result?.$case === "refs"
      ? Object.entries(result.result.value.refs)
      : result?.result?.$case === "ref"
        ? [["", result.result.value] as const]
        : [];
  return Object.fromEntries(refs.map(([platform, ref]) => [platform, graphOf(ref.def)]));
}

function graphOf(definition: Definition | undefined): unknown {
  const digests = (definition?.def ?? []).map((bytes) => sha256(bytes));
  return (definition?.def ?? []).map((bytes, index) => {
    const digest = digests[index] ?? "";
    const { caps, progressGroup, ...metadata } = definition?.metadata[digest] ?? {};
    return {
      digest,
      op: Op.decode(bytes),
      metadata: { ...metadata, caps: Object.keys(caps ?? {}).sort(), group: progressGroup?.name },
      lines: (definition?.Source?.locations[digest]?.locations ?? []).map(({ ranges }) => ranges),
    };
  });
}

/** Without what a daemon puts in any order, or has from its host. */
function stable(message: string): string {
  const marker = "lint violation found for rules: ";
  const at = message.indexOf(marker);
  if (at >= 0)
    return (
      marker +
      message
        .slice(at + marker.length)
        .split(", ")
        .sort()
        .join(", ")
    );
  return message.replace(/ on [\d.:]+: no such host/, ": no such host");
}

function failureOf(error: BuildError): Record<string, unknown> {
  const sources = error.details
    .filter(({ typeUrl }) => typeUrl.endsWith("errdefs.Source+json"))
    .map(({ value }) => JSON.parse(Buffer.from(value).toString()).ranges);
  return { code: error.code, message: stable(error.message), sources };
}
