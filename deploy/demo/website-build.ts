import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { BuildRecord, type Step } from "./build-record.ts";
import { buildfleet, type DemoFleet } from "./fleet.ts";
import { formatSeconds, type Narrator } from "./narrator.ts";
import { runCommand } from "./run-command.ts";
import { isStep, shortName, stageOf } from "./step-name.ts";

export interface WebsiteBuildOptions {
  readonly fleet: DemoFleet;
  readonly narrator: Narrator;
  /** The build context. */
  readonly context: string;
  readonly keyFile: string;
  readonly image: string;
  readonly metadataFile: string;
  readonly signal: AbortSignal;
}

/** A client that builds the example; both write their progress as JSON in the same form. */
export interface BuildClient {
  /** As one types it. */
  readonly shown: string;
  readonly argv: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** The stock client. @param configDirectory its builders and the like, in place of the user's own */
export async function dockerBuildx(
  program: string,
  fleet: DemoFleet,
  configDirectory: string,
  signal: AbortSignal,
): Promise<BuildClient & { readonly version: string }> {
  const env = { DOCKER_CONFIG: configDirectory, BUILDX_CONFIG: configDirectory };
  const version = (await runCommand([program, "version"], { env, signal })).trim();
  await runCommand([program, "create", "--name", "fleet", "--driver", "remote", fleet.address], { env, signal });
  return { shown: "docker buildx build --builder fleet", argv: [program, "build", "--builder", "fleet"], env, version };
}

export function ownClient(fleet: DemoFleet): BuildClient {
  return {
    shown: `buildfleet build --addr ${fleet.address}`,
    argv: [process.execPath, buildfleet, "build", "--addr", fleet.address],
  };
}

export interface WebsiteBuild {
  readonly record: BuildRecord;
  /** `containerimage.digest` as the client was told. */
  readonly digest: string;
  readonly durationMs: number;
}

/** Builds and pushes the example, telling of each step as it ends. */
export async function buildWebsite(client: BuildClient, options: WebsiteBuildOptions): Promise<WebsiteBuild> {
  const { fleet, narrator, context, keyFile, image, metadataFile, signal } = options;
  narrator.command(
    `${client.shown} --secret id=signing-key,src=${basename(keyFile)} -t ${image} --push ${basename(context)}`,
  );
  const startedAt = Date.now();
  const record = new BuildRecord({
    completed: (step) => showStep(step, fleet, narrator),
    output: ({ name }, line) => narrator.text(narrator.dim(`    ${stageOf(name).padEnd(7)} | ${narrator.clean(line)}`)),
  });
  await runCommand(
    [
      ...[...client.argv, "--progress", "rawjson", "--metadata-file", metadataFile],
      ...["--secret", `id=signing-key,src=${keyFile}`, "-t", image, "--push", context],
    ],
    { ...(client.env === undefined ? {} : { env: client.env }), signal, onError: (line) => record.add(line) },
  );
  const durationMs = Date.now() - startedAt;
  const metadata = JSON.parse(await readFile(metadataFile, "utf8")) as Record<string, unknown>;
  return { record, digest: String(metadata["containerimage.digest"] ?? ""), durationMs };
}

function showStep(step: Step, fleet: DemoFleet, narrator: Narrator): void {
  if (!isStep(step.name) && !step.name.startsWith("exporting")) return;
  const took = step.cached ? "CACHED" : formatSeconds((step.completedMs ?? step.startedMs) - step.startedMs);
  const agent = step.agentId === undefined ? "" : fleet.agentName(step.agentId);
  const nameWidth = narrator.width - 26;
  const text = `${shortName(step.name, nameWidth).padEnd(nameWidth)} ${took.padStart(7)}  ${agent}`.trimEnd();
  if (step.error === "") narrator.done(text);
  else narrator.failed(text);
}
