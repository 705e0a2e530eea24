import { readFile } from "node:fs/promises";
import { parse } from "smol-toml";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import { startStandalone } from "../standalone/standalone.ts";
import { createLogger } from "../telemetry/index.ts";
import { buildkitVersion, version } from "../version.ts";
import { daemonConfig } from "./buildkitd/daemon-config.ts";
import { daemonFlags } from "./buildkitd/daemon-flags.ts";
import { overlay, parseFlags, type TomlTable } from "./buildkitd/parse-flags.ts";

const defaultConfigFile = "/etc/buildkit/buildkitd.toml";
const packageName = "github.com/buildfleet/buildfleet";

/**
 * The drop-in for `buildkitd` on one machine: its flags and its configuration file, our standalone daemon. Ends on the first
 * SIGTERM or SIGINT after cancelling what runs, on the second without waiting.
 * @returns the exit code
 */
export async function buildkitd(args: readonly string[]): Promise<number> {
  const flags = parseFlags(args);
  if (flags.action === "version") {
    // Four words: clients that manage daemons take the third one as the version.
    process.stdout.write(`buildkitd ${packageName} ${buildkitVersion} buildfleet-${version}\n`);
    return 0;
  }
  if (flags.action === "help") {
    process.stdout.write(helpText());
    return 0;
  }
  const config = daemonConfig(overlay(await readConfig(flags.configFile), flags.overrides));
  const logger = createLogger(config.log);
  for (const warning of flags.warnings) logger.warn(warning);
  const stopping = untilSignalled();
  await using _running = await startStandalone(config, logger);
  const signal = await stopping;
  logger.info("stopping", { signal });
  return 0;
}

/** Resolves at the first SIGTERM or SIGINT; the second one ends the process. */
function untilSignalled(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let stopping = false;
    const stop = (signal: NodeJS.Signals): void => {
      if (stopping) process.exit(1);
      stopping = true;
      resolve(signal);
    };
    process.on("SIGTERM", stop);
    process.on("SIGINT", stop);
  });
}

async function readConfig(path: string | undefined): Promise<TomlTable> {
  try {
    return parse(await readFile(path ?? defaultConfigFile, "utf8")) as TomlTable;
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
    if (missing && path === undefined) return {};
    throw new BuildError(Code.InvalidArgument, `failed to load config from ${path ?? defaultConfigFile}`, {
      cause: error,
    });
  }
}

function helpText(): string {
  const lines = Object.entries(daemonFlags).map(([name, flag]) => `   --${name.padEnd(38)} ${flag.help}`);
  return ["NAME:", "   buildkitd - build daemon", "", "OPTIONS:", ...lines, ""].join("\n");
}
