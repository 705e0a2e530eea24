import { randomBytes } from "node:crypto";
import type { Command } from "commander";
import {
  type BuildOutcome,
  type BuildRequest,
  connectDaemon,
  DockerConfig,
  runResumedBuild,
} from "../../client/index.ts";
import type { ProgressMode } from "../../client/progress/index.ts";
import {
  AuthService,
  SecretsService,
  type SessionService,
  SshService,
  TokenAuthority,
} from "../../client/session/index.ts";
import { createLogger } from "../../telemetry/index.ts";
import { clientFlags, daemonAddress } from "../client-options.ts";
import type { CliContext } from "../context.ts";
import { progressMode, ShownProgress, speaks } from "../shown-progress.ts";
import { UsageError } from "../usage-error.ts";
import { addBuildFlags, type BuildFlags, noFlags } from "./build-flags.ts";
import { ContentStores } from "./content-stores.ts";
import { DetachedBuild, startDetached } from "./detached-build.ts";
import { dockerfileRequest, wantsDockerfile, withTags } from "./dockerfile-request.ts";
import { metadataJson, writeFileAtomically } from "./metadata-file.ts";
import { parseCacheExport, parseCacheImport } from "./parse-cache.ts";
import { parseOutput } from "./parse-output.ts";
import { parseDirectories, parsePairs } from "./parse-pairs.ts";
import { parseRegistryTls } from "./parse-registry-tls.ts";
import { parseSecret } from "./parse-secret.ts";
import { parseSsh } from "./parse-ssh.ts";
import { readDefinition } from "./read-definition.ts";
import { readSourcePolicy } from "./read-source-policy.ts";
import { StdinContext } from "./stdin-context.ts";

/** `buildfleet build` */
export function defineBuildCommand(command: Command, context: CliContext): void {
  addBuildFlags(command);
  command.action(async (path: string | undefined, flags: Partial<BuildFlags>) =>
    build(path, { ...noFlags, ...flags }, command, context),
  );
}

async function build(
  path: string | undefined,
  flags: BuildFlags,
  command: Command,
  context: CliContext,
): Promise<void> {
  const mode = progressMode(flags.progress);
  if (!flags.detach) return buildHere(path, flags, { command, context, mode, detached: undefined });
  const detached = DetachedBuild.ofProcess();
  if (detached === undefined) return startDetached(context);
  await using owned = detached;
  await buildHere(path, flags, { command, context, mode: "plain", detached: owned });
  owned.succeeded();
}

interface BuildParts {
  readonly command: Command;
  readonly context: CliContext;
  readonly mode: ProgressMode;
  /** Set in the background. */
  readonly detached: DetachedBuild | undefined;
}

async function buildHere(path: string | undefined, flags: BuildFlags, parts: BuildParts): Promise<void> {
  const { mode, detached } = parts;
  const { stdin, stdout, stderr } = parts.context;
  const stores = new ContentStores((text) => stderr.write(text));
  await using context = path === "-" ? await StdinContext.read(stdin) : undefined;
  const ref = detached?.ref ?? randomBytes(16).toString("hex");
  const request = await buildRequest(path, flags, { ref, stores, context, stdin });
  const isRequest = request.frontendOptions["requestid"] !== undefined;
  if (detached !== undefined && (isRequest || request.outputs.some(({ target }) => target?.kind === "stdout"))) {
    throw new UsageError("--detach: nobody would read from stdout");
  }
  if (request.outputs.length + request.cacheExports.length === 0 && !isRequest && speaks(mode)) {
    stderr.write("note: no --output: the result stays in the build cache\n");
  }
  const outcome = await run(request, flags, parts);
  await stores.finish(outcome.exporterResponse);
  if (flags.metadataFile !== undefined) {
    await writeFileAtomically(flags.metadataFile, metadataJson(outcome.exporterResponse));
  }
  if (isRequest) stdout.write(answerText(outcome.resultMetadata));
}

/** Builds over as many connections as it takes, and shows it. */
async function run(request: BuildRequest, { trace, refFile }: BuildFlags, parts: BuildParts): Promise<BuildOutcome> {
  const { command, mode, detached } = parts;
  const { signal, stderr } = parts.context;
  const flags = clientFlags(command);
  const address = await daemonAddress(flags);
  try {
    using progress = new ShownProgress({ mode, stream: stderr, ...(trace === undefined ? {} : { trace }) });
    return await runResumedBuild(request, {
      connect: (during) => connectDaemon(address, during),
      logger: createLogger({ level: flags.debug === true ? "debug" : "error", format: "text" }),
      signal,
      onStatus: (status) => {
        detached?.accepted();
        progress.update(status);
      },
      onNotice: (text) => progress.notice(text),
    });
  } finally {
    if (refFile !== undefined) await writeFileAtomically(refFile, request.ref);
  }
}

/** What the daemon checks (its frontend options `buildfleet.*`). */
function share({ priority, weight, tenant, parallelism, pool }: BuildFlags): Record<string, string> {
  const asked = Object.entries({ priority, weight, tenant, parallelism, pool });
  return Object.fromEntries(
    asked.flatMap(([name, value]) => (value === undefined ? [] : [[`buildfleet.${name}`, value]])),
  );
}

/** The answer of a request that only asks, e.g. `--opt requestid=frontend.outline`. */
function answerText(metadata: BuildOutcome["resultMetadata"]): string {
  const text = metadata["result.txt"];
  if (text !== undefined) return Buffer.from(text).toString("utf8");
  return Object.entries(metadata)
    .filter(([key]) => key.startsWith("result."))
    .map(([key, value]) => `${key}\n${Buffer.from(value).toString("utf8")}\n`)
    .join("");
}

interface RequestParts {
  readonly ref: string;
  readonly stores: ContentStores;
  /** Set for `buildfleet build -`. */
  readonly context: StdinContext | undefined;
  readonly stdin: CliContext["stdin"];
}

async function buildRequest(
  path: string | undefined,
  flags: BuildFlags,
  { ref, stores, context, stdin }: RequestParts,
): Promise<BuildRequest> {
  for (const entitlement of flags.allow) {
    if (!/^(network\.host|security\.insecure|device(=.*)?)$/.test(entitlement)) {
      throw new UsageError(`unknown entitlement ${entitlement}: expected network.host, security.insecure or device`);
    }
  }
  const outputs = await Promise.all(flags.output.map((text) => parseOutput(text)));
  if (outputs.filter((output) => output.target?.kind === "stdout").length > 1) {
    throw new UsageError("only one --output can write to stdout");
  }
  const sourcePolicy = await readSourcePolicy(flags.sourcePolicyFile);
  const localDirectories = await parseDirectories("--local", flags.local);
  const cacheExports = flags.exportCache.map((text) => parseCacheExport(text));
  const cacheImports = await Promise.all(
    flags.importCache.map((text) => stores.resolveCacheImport(parseCacheImport(text))),
  );
  await stores.addLayouts(flags.ociLayout);
  const frontendOptions = await stores.withDigests({
    ...sourceDateEpoch(),
    ...share(flags),
    ...parsePairs("--opt", flags.opt),
  });
  for (const option of cacheExports) stores.addCacheExport(option);
  for (const output of outputs) stores.addOutput(output);
  const common = {
    ref,
    outputs: withTags(outputs, flags),
    cacheExports,
    cacheImports: cacheImports.filter((option) => option !== undefined),
    entitlements: flags.allow,
    ...(sourcePolicy === undefined ? {} : { sourcePolicy }),
    services: [...(await sessionServices(flags)), ...stores.services, ...(context?.services ?? [])],
  };
  if (wantsDockerfile(path, flags)) {
    const dockerfile = await dockerfileRequest(path, flags, context);
    return {
      ...common,
      frontend: flags.frontend ?? "dockerfile.v0",
      frontendOptions: { ...dockerfile.frontendOptions, ...frontendOptions, ...noCache(flags) },
      localDirectories: new Map([...dockerfile.localDirectories, ...localDirectories]),
    };
  }
  if (flags.frontend !== undefined) {
    const options = { ...frontendOptions, ...noCache(flags) };
    return { ...common, frontend: flags.frontend, frontendOptions: options, localDirectories };
  }
  if (stdin.isTTY === true) {
    throw new UsageError(
      "nothing to build: give a directory with a Dockerfile, --frontend, or an LLB definition on stdin",
    );
  }
  return { ...common, definition: await readDefinition(stdin, !flags.cache), frontendOptions, localDirectories };
}

function noCache(flags: BuildFlags): Record<string, string> {
  return flags.cache ? {} : { "no-cache": "" };
}

/** Reproducible builds: the client's time stamp reaches the build as an argument. */
function sourceDateEpoch(): Record<string, string> {
  const value = process.env["SOURCE_DATE_EPOCH"];
  return value === undefined ? {} : { "build-arg:SOURCE_DATE_EPOCH": value };
}

async function sessionServices(flags: BuildFlags): Promise<readonly SessionService[]> {
  const config = await DockerConfig.load();
  const services: SessionService[] = [
    new AuthService({
      config,
      authority: new TokenAuthority(config.directory),
      tls: parseRegistryTls(flags.registryAuthTlscontext),
    }),
  ];
  if (flags.secret.length > 0) services.push(await SecretsService.open(flags.secret.map(parseSecret)));
  if (flags.ssh.length > 0) services.push(await SshService.open(flags.ssh.map(parseSsh)));
  return services;
}
