import { randomBytes } from "node:crypto";
import type { Command } from "commander";
import {
  type BuildOutcome,
  type BuildRequest,
  connectDaemon,
  DockerConfig,
  runResumedBuild,
} from "../../client/index.ts";
import { type ProgressMode, progressModes } from "../../client/progress/index.ts";
import {
  AuthService,
  SecretsService,
  type SessionService,
  SshService,
  TokenAuthority,
} from "../../client/session/index.ts";
import { createLogger } from "../../telemetry/index.ts";
import { collect } from "../client-command.ts";
import { clientFlags, daemonAddress } from "../client-options.ts";
import type { CliContext } from "../context.ts";
import { progressMode, ShownProgress, speaks } from "../shown-progress.ts";
import { UsageError } from "../usage-error.ts";
import { ContentStores } from "./content-stores.ts";
import { DetachedBuild, startDetached } from "./detached-build.ts";
import { type DockerfileFlags, dockerfileRequest, wantsDockerfile, withTags } from "./dockerfile-request.ts";
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

interface BuildFlags extends DockerfileFlags {
  readonly output: readonly string[];
  readonly progress?: string;
  readonly trace?: string;
  readonly local: readonly string[];
  readonly ociLayout: readonly string[];
  readonly frontend?: string;
  readonly opt: readonly string[];
  readonly cache: boolean;
  readonly exportCache: readonly string[];
  readonly importCache: readonly string[];
  readonly secret: readonly string[];
  readonly allow: readonly string[];
  readonly ssh: readonly string[];
  readonly metadataFile?: string;
  readonly refFile?: string;
  readonly registryAuthTlscontext: readonly string[];
  readonly sourcePolicyFile?: string;
  readonly detach: boolean;
  readonly priority?: string;
  readonly weight?: string;
  readonly tenant?: string;
  readonly parallelism?: string;
}

const noFlags: BuildFlags = {
  tag: [],
  push: false,
  buildArg: [],
  label: [],
  platform: [],
  output: [],
  local: [],
  ociLayout: [],
  opt: [],
  cache: true,
  detach: false,
  exportCache: [],
  importCache: [],
  secret: [],
  allow: [],
  ssh: [],
  registryAuthTlscontext: [],
};

const examples = `
Two ways to say what to build:

  A Dockerfile, as with docker build. PATH is a directory, a git repository or an archive's URL:
    $ buildfleet build -t registry.example.com/app:1 --push .
    $ buildfleet build -f docker/Dockerfile --target test -o ./out .

  Anything BuildKit can build, with the flags of buildctl. Without --frontend an LLB definition is read from stdin:
    $ buildfleet build --frontend dockerfile.v0 --local context=. --local dockerfile=. \\
        --output type=image,name=registry.example.com/app:1,push=true
    $ my-llb-program | buildfleet build --local src=. --output type=local,dest=out

Outputs (--output, any number):
  type=image,name=<name>[,push=true]     an image, in the fleet and in a registry
  type=oci|docker[,name=<name>],dest=<file>   an image archive ("-" or no dest: stdout); tar=false: a directory
  type=local,dest=<dir>                  the files of the result; "-o <dir>" for short
  type=tar,dest=<file>                   the same as a tar; "-o -" for a tar on stdout

Environment: BUILDFLEET_ADDR, BUILDKIT_HOST, BUILDKIT_PROGRESS, DOCKER_CONFIG (registry logins), SSH_AUTH_SOCK,
SOURCE_DATE_EPOCH (passed as a build argument), NO_COLOR, BUILDKIT_COLORS, BUILDKIT_TTY_LOG_LINES.`;

/** `buildfleet build` */
export function defineBuildCommand(command: Command, context: CliContext): void {
  const list = (flags: string, help: string) => command.addOption(command.createOption(flags, help).argParser(collect));
  const group = (heading: string) => command.optionsGroup(heading);
  command.argument("[path]", 'directory or URL with a Dockerfile; "-": a Dockerfile or an archive with one on stdin');
  group("Dockerfile builds:");
  command.option("-f, --file <file>", "Dockerfile (default: PATH/Dockerfile)");
  list("-t, --tag <name>", "name of the image; may be repeated");
  command.option("--push", "push the image to the registry in its name");
  list("--build-arg <NAME=value>", "value of an ARG; without =value, from the environment");
  list("--label <NAME=value>", "label of the image");
  command.option("--target <stage>", "stage to build");
  list("--platform <os/arch>", "platform to build for; may be repeated");
  group("What to build:");
  command.option("--frontend <name>", "frontend: dockerfile.v0, or gateway.v0 with --opt source=<image>");
  list("--opt <key=value>", "option of the frontend, e.g. target=test, build-arg:NAME=value");
  list("--local <name=dir>", "directory that the build may read");
  list("--oci-layout <name=dir>", "OCI image layout that the build may read");
  command.option("--no-cache", "run every step, whatever is in the cache");
  group("Results:");
  list("-o, --output <spec>", "what to make of the result; see below");
  list(
    "--export-cache <spec>",
    "where to keep the cache, e.g. type=registry,ref=<name>[,mode=max], type=local,dest=<dir>",
  );
  list("--import-cache <spec>", "where to look for cache, e.g. type=registry,ref=<name>, type=local,src=<dir>");
  command.option("--metadata-file <file>", "write digests and names of what was made, as JSON");
  command.option("--ref-file <file>", "write the build's id");
  group("What steps may use:");
  list("--secret <spec>", "secret: id=<name>[,src=<file>|,env=<VARIABLE>]");
  list("--ssh <spec>", "SSH agent: default or <id>[=<socket>[,raw=true]]");
  command.option(
    "--source-policy-file <file>",
    "which sources may be used, as JSON (env EXPERIMENTAL_BUILDKIT_SOURCE_POLICY)",
  );
  list("--allow <entitlement>", "network.host, security.insecure or device[=<name>]");
  list(
    "--registry-auth-tlscontext <spec>",
    "TLS for a registry's token server: host=…,ca=…,cert=…,key=…,insecure=true",
  );
  group("Share of the fleet:");
  command.option("--priority <points>", "100 more count twice as much (default: 0)");
  command.option("--weight <number>", "share against builds of the same priority (default: 1)");
  command.option("--tenant <name>", "builds of one tenant share what the tenant gets");
  command.option("--parallelism <n>", "most steps of this build at the same time");
  group("Progress:");
  command.option("--detach", "build in the background and print the build's ref: see buildfleet attach");
  command.option("--progress <mode>", `${progressModes.join(", ")} (default: auto; env BUILDKIT_PROGRESS)`);
  command.option("--trace <file>", "append each progress message to a file, as JSON");
  group("Options:");
  command.addHelpText("after", examples);
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
function share({ priority, weight, tenant, parallelism }: BuildFlags): Record<string, string> {
  const asked = Object.entries({ priority, weight, tenant, parallelism });
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
