import type { Command } from "commander";
import { resolveStandalone } from "../../config/index.ts";
import type { Logger } from "../../core/seams/logger.ts";
import { setUpCgroupRoot } from "../../executor/index.ts";
import type { CliContext } from "../context.ts";
import { runDaemon } from "../daemon/run-daemon.ts";
import { versionLine } from "../version-line.ts";
import { daemonFlags } from "./daemon-flags.ts";
import { parseFlags } from "./parse-flags.ts";

/** `buildfleet buildkitd`, which `bin/buildkitd.mjs` runs: `buildfleet standalone` with the flags of `buildkitd`. */
export function defineBuildkitdCommand(command: Command, { signal, onSecondSignal, stdout }: CliContext): void {
  // Commander knows neither `-flag` nor `--switch=false`: everything is left to us.
  command.helpOption(false).allowUnknownOption().passThroughOptions().argument("[flags...]");
  command.action(async (args: readonly string[]) => {
    const { action, flags, warnings } = parseFlags(args);
    if (action !== "run") {
      stdout.write(action === "version" ? `${versionLine("buildkitd")}\n` : helpText());
      return;
    }
    const { config, warnings: configWarnings } = await resolveStandalone(flags);
    const { startStandalone } = await import("../../standalone/standalone.ts");
    await runDaemon({
      name: "standalone",
      resolved: { config, warnings: [...warnings, ...configWarnings] },
      stateDirectory: config.root,
      start: (running, logger) => {
        setUpCgroups(logger);
        return startStandalone(running, logger);
      },
      describe: ({ addresses }) => ({ addresses }),
      signal,
      onSecondSignal,
    });
  });
}

/** In BuildKit's images, and in ours, the variable says that the root of the cgroup file system is this container's alone. */
function setUpCgroups(logger: Logger): void {
  if (!["1", "t", "true"].includes((process.env["BUILDKIT_SETUP_CGROUPV2_ROOT"] ?? "").toLowerCase())) return;
  try {
    const disabled = setUpCgroupRoot();
    if (disabled.length > 0) logger.warn("cgroup controllers cannot be enabled", { controllers: disabled.join(" ") });
  } catch (error) {
    logger.warn("cannot set up cgroups: limits of steps may not work", { error: String(error) });
  }
}

function helpText(): string {
  const lines = Object.entries(daemonFlags).map(([name, flag]) => `   --${name.padEnd(38)} ${flag.help}`);
  return ["NAME:", "   buildkitd - build daemon", "", "OPTIONS:", ...lines, ""].join("\n");
}
