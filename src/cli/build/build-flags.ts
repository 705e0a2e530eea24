import type { Command } from "commander";
import { progressModes } from "../../client/progress/index.ts";
import { collect } from "../client-command.ts";
import type { DockerfileFlags } from "./dockerfile-request.ts";

/** Flags of `buildfleet build`. */
export interface BuildFlags extends DockerfileFlags {
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
  readonly pool?: string;
}

/** As when none is given. */
export const noFlags: BuildFlags = {
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

/** Argument, flags and help of the command. */
export function addBuildFlags(command: Command): void {
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
  command.option("--pool <name>", "run its steps on agents with the label pool=<name>");
  group("Progress:");
  command.option("--detach", "build in the background and print the build's ref: see buildfleet attach");
  command.option("--progress <mode>", `${progressModes.join(", ")} (default: auto; env BUILDKIT_PROGRESS)`);
  command.option("--trace <file>", "append each progress message to a file, as JSON");
  group("Options:");
  command.addHelpText("after", examples);
}
