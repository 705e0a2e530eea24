import { randomBytes } from "node:crypto";
import { appendFile, cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { findRuntime } from "../../src/executor/index.ts";
import { busyboxEntries, makeLayer, pushImage } from "./base-image.ts";
import { findBuildx } from "./buildx.ts";
import { byHand } from "./by-hand.ts";
import { DemoFleet } from "./fleet.ts";
import { mountsUnder } from "./leftovers.ts";
import { formatBytes, formatSeconds, type Narrator } from "./narrator.ts";
import { RegistryImage } from "./registry-image.ts";
import { installPackages, missingRequirements, requirements, searchPath } from "./requirements.ts";
import { runCommand } from "./run-command.ts";
import { runImage } from "./run-image.ts";
import { showPlacement, showTransfers } from "./show-build.ts";
import { TraceCollector } from "./trace-collector.ts";
import { buildWebsite, dockerBuildx, ownClient, type WebsiteBuild } from "./website-build.ts";

const project = fileURLToPath(new URL("../..", import.meta.url));
const example = join(project, "deploy/examples/web");
const logDirectory = join(project, ".cache/demo");

export interface DemoOptions {
  readonly narrator: Narrator;
  /** False: fail where a Debian package is missing. */
  readonly install: boolean;
  /** Leave the fleet up at the end until `signal` aborts. */
  readonly keep: boolean;
  readonly signal: AbortSignal;
}

/** The whole demo; whatever happens, what it started is gone afterwards. @returns false when it failed, having said why */
export async function runDemo(options: DemoOptions): Promise<boolean> {
  const { narrator, signal } = options;
  const startedAt = Date.now();
  narrator.line(narrator.bold("Buildfleet: one build, many machines"));
  narrator.text(
    "Three agents on this machine stand for three hosts. Everything here is real but the distance between them.",
  );
  let fleet: DemoFleet | undefined;
  let failure: unknown;
  const root = await mkdtemp(join(tmpdir(), "buildfleet-demo-"));
  try {
    await prepare(options);
    announceFleet(narrator);
    const { path: runtime } = findRuntime({ searchPath: searchPath() });
    fleet = await createFleet(root, runtime, options);
    const trace = await startFleet(fleet, narrator);
    const started = { fleet, trace, runtime };
    await whileRunning(fleet, signal, (limit) => tell(started, root, { ...options, signal: limit }));
  } catch (error) {
    failure = error;
  }
  if (failure !== undefined) explain(failure, fleet, narrator, signal);
  narrator.part("Tidying up", "Agents finish first, then the coordinator, the registry and NATS.");
  try {
    await fleet?.[Symbol.asyncDispose]();
    await rm(root, { recursive: true, force: true });
    const left = mountsUnder(root);
    if (left.length > 0) throw new Error(`still mounted: ${left.join(", ")}`);
    narrator.done("every process, network namespace, mount and directory of the demo is gone");
  } catch (error) {
    failure ??= error;
    narrator.note(`not everything could be removed: ${messageOf(error)}`);
  }
  if (failure === undefined) narrator.done(`all of it took ${formatSeconds(Date.now() - startedAt)}`);
  return failure === undefined;
}

/** Ends the work when a server ends, and only returns when the work has. */
async function whileRunning(fleet: DemoFleet, signal: AbortSignal, work: (signal: AbortSignal) => Promise<void>) {
  const abort = new AbortController();
  const working = work(AbortSignal.any([signal, abort.signal]));
  try {
    await Promise.race([working, fleet.failed]);
  } finally {
    abort.abort(new Error("a server of the fleet has ended"));
    await working.catch(() => {});
  }
}

/** Programs that are needed. */
async function prepare({ narrator, install, signal }: DemoOptions): Promise<void> {
  narrator.part("What this machine needs");
  if (process.getuid?.() !== 0)
    throw new Error("the demo makes network namespaces and containers: please run it as root");
  const missing = await missingRequirements();
  if (missing.length > 0) {
    const packages = missing.map(({ debianPackage }) => debianPackage);
    if (!install) throw new Error(`missing, and DEMO_NO_INSTALL is set: ${packages.join(", ")}`);
    narrator.text(`Installing from Debian: ${packages.join(" ")}`);
    narrator.text(narrator.dim("(with apt-get; services that come with them are not started)"));
    await installPackages(packages, signal);
  }
  for (const { program, use } of requirements) narrator.done(`${program.padEnd(15)} ${use}`);
}

function announceFleet(narrator: Narrator): void {
  narrator.part(
    "A fleet",
    "The coordinator is what clients talk to, as if it were buildkitd. It cuts builds into tasks; agents run them, each with " +
      "an address and a data directory of its own. NATS carries tasks and results, never layers.",
  );
}

async function createFleet(root: string, runtime: string, { narrator, signal }: DemoOptions): Promise<DemoFleet> {
  await rm(logDirectory, { recursive: true, force: true });
  await mkdir(logDirectory, { recursive: true });
  return DemoFleet.create({
    agents: 3,
    root,
    logDirectory,
    runtime,
    onStarted: (what, where) => narrator.done(`${what.padEnd(12)} ${where}`),
    onNote: (text) => narrator.note(text),
    signal,
  });
}

async function startFleet(fleet: DemoFleet, narrator: Narrator): Promise<TraceCollector> {
  narrator.text(`Addresses: ${fleet.network.description}`);
  await fleet.startServers();
  const layer = makeLayer(busyboxEntries());
  await pushImage(`${fleet.registry}/library/busybox:stable`, [layer], { Cmd: ["sh"] });
  const size = formatBytes(layer.blob.length);
  narrator.done(`base image   busybox:stable, made of Debian's busybox (${size}), in the registry`);
  const trace = fleet.use(await TraceCollector.listen(fleet.network.address));
  await fleet.startFleet(trace.env);
  return trace;
}

interface Started {
  readonly fleet: DemoFleet;
  readonly trace: TraceCollector;
  /** The program that runs containers. */
  readonly runtime: string;
}

async function tell(started: Started, root: string, options: DemoOptions): Promise<void> {
  const { fleet, trace, runtime } = started;
  const { narrator, signal } = options;
  const context = join(root, "web");
  const keyFile = join(root, "key");
  const key = randomBytes(16).toString("hex");
  const image = `${fleet.registry}/website:1`;
  await cp(example, context, { recursive: true });
  await writeFile(keyFile, `${key}\n`, { mode: 0o600 });
  const common = { fleet, narrator, context, keyFile, image, metadataFile: join(root, "metadata.json"), signal };

  const buildx = await findBuildx({ install: options.install, narrator, signal });
  const stages =
    "deploy/examples/web: three stages that wait for nothing from each other, then a stage that copies from all of them.";
  let first: WebsiteBuild;
  if (buildx === undefined) {
    narrator.part("A build by buildfleet build", stages);
    narrator.note("docker buildx, which could do the same, is neither here nor to be had");
    trace.clear();
    first = await buildWebsite(ownClient(fleet), common);
  } else {
    narrator.part(
      "A build by docker buildx",
      `${stages} buildx is Docker's own client, unchanged; it takes the fleet for a remote buildkitd.`,
    );
    const client = await dockerBuildx(buildx, fleet, join(root, "docker"), signal);
    narrator.text(narrator.dim(client.version));
    narrator.command(`docker buildx create --name fleet --driver remote ${fleet.address}`);
    trace.clear();
    first = await buildWebsite(client, common);
  }
  narrator.done(`built and pushed in ${formatSeconds(first.durationMs)}`);

  narrator.part("Which agent ran which step", "Start and end in seconds since the first of them.");
  showPlacement(first, fleet, narrator);
  narrator.part(
    "What moved between agents",
    "A result stays where it was made until another agent needs it; then it goes there directly.",
  );
  const spans = await trace.build();
  showTransfers(spans.transfers, fleet, narrator);

  narrator.part(
    "The build as a trace",
    "Coordinator and agents report spans by OpenTelemetry; a collector in this process drew this.",
  );
  narrator.text(spans.waterfall(narrator.width - 3, (id) => fleet.agentName(id)) || "no spans came");

  narrator.part("The image", "Taken from the registry as any other client would, and run once with runc.");
  const pushed = await RegistryImage.open(image);
  if (pushed.digest !== first.digest)
    throw new Error(`the registry has ${pushed.digest}, the build made ${first.digest}`);
  narrator.done(`${image}`);
  narrator.done(`digest ${pushed.digest}, ${pushed.layers} layers, ${formatBytes(pushed.sizeBytes)}`);
  const directory = join(root, "run");
  await pushed.unpack(join(directory, "rootfs"), signal);
  await mustNotContain(key, [join(directory, "rootfs"), logDirectory], signal);
  narrator.done("the signing key is in no file of the image and in no log");
  narrator.command(`${runtime.split("/").pop()} run website`);
  const id = `website-${randomBytes(4).toString("hex")}`;
  narrator.text(await runImage(pushed.config, { directory, runtime, id, signal }));

  narrator.part(
    "The same again, by buildfleet build",
    buildx === undefined ? "" : "What one client built is a cache hit for every other one.",
  );
  const second = await buildWebsite(ownClient(fleet), common);
  const cached = second.record.steps.filter((step) => step.cached).length;
  const all = second.record.steps.length;
  if (cached < all || all === 0) throw new Error(`only ${cached} of ${all} steps were CACHED`);
  narrator.done(`all ${all} steps CACHED, in ${formatSeconds(second.durationMs)}; digest ${second.digest}`);

  narrator.part(
    "One page edited",
    "Only what depends on the page runs again; the pages that did not change come out of the cache mount.",
  );
  await appendFile(join(context, "pages/secrets.md"), "\nEdited by the demo.\n");
  narrator.command("echo Edited by the demo. >> web/pages/secrets.md");
  const third = await buildWebsite(ownClient(fleet), common);
  const ran = third.record.steps.filter((step) => !step.cached).length;
  narrator.done(`${ran} steps ran, ${third.record.steps.length - ran} CACHED, in ${formatSeconds(third.durationMs)}`);

  narrator.part(
    "By hand",
    "The same without the demo. More agents: the same line with another --root, here or on another host.",
  );
  narrator.text(byHand);
  if (!options.keep) return;
  narrator.part("Left running", `The fleet stays until Ctrl-C. Logs: ${logDirectory}`);
  narrator.text(`export BUILDFLEET_ADDR=${fleet.address}\nbin/buildfleet.mjs workers`);
  // Without a timer nothing here would hold the process.
  while (!signal.aborted) await sleep(1000, undefined, { signal }).catch(() => {});
}

/** @throws Error when a file under one of the directories has the text */
async function mustNotContain(text: string, directories: readonly string[], signal: AbortSignal): Promise<void> {
  const found = await runCommand(["grep", "-rlF", "-e", text, ...directories], { signal }).catch(() => "");
  if (found !== "") throw new Error(`the secret is in ${found.trim()}`);
}

function explain(error: unknown, fleet: DemoFleet | undefined, narrator: Narrator, signal: AbortSignal): void {
  narrator.line();
  if (signal.aborted) {
    narrator.note("stopped");
    return;
  }
  narrator.note(narrator.bold("The demo failed"));
  narrator.text(messageOf(error));
  if (fleet === undefined) return;
  narrator.text("Logs:");
  for (const file of fleet.logFiles) narrator.text(`  ${file}`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
