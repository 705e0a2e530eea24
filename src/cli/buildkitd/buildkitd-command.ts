import type { Command } from "commander";
import { resolveStandalone } from "../../config/index.ts";
import { buildkitVersion, version } from "../../version.ts";
import type { CliContext } from "../context.ts";
import { runDaemon } from "../daemon/run-daemon.ts";
import { daemonFlags } from "./daemon-flags.ts";
import { parseFlags } from "./parse-flags.ts";

/** `buildfleet buildkitd`, which `bin/buildkitd.mjs` runs: `buildfleet standalone` with the flags of `buildkitd`. */
export function defineBuildkitdCommand(command: Command, { signal, stdout }: CliContext): void {
  // Commander knows neither `-flag` nor `--switch=false`: everything is left to us.
  command.helpOption(false).allowUnknownOption().passThroughOptions().argument("[flags...]");
  command.action(async (args: readonly string[]) => {
    const { action, flags, warnings } = parseFlags(args);
    if (action !== "run") {
      stdout.write(action === "version" ? versionLine() : helpText());
      return;
    }
    const { config, warnings: configWarnings } = await resolveStandalone(flags);
    const { startStandalone } = await import("../../standalone/standalone.ts");
    await runDaemon({
      name: "standalone",
      resolved: { config, warnings: [...warnings, ...configWarnings] },
      stateDirectory: config.root,
      start: startStandalone,
      describe: ({ addresses }) => ({ addresses }),
      signal,
    });
  });
}

/** Four words: programs that start daemons take the third one as the version. */
function versionLine(): string {
  return `buildkitd github.com/buildfleet/buildfleet ${buildkitVersion} buildfleet-${version}\n`;
}

function helpText(): string {
  const lines = Object.entries(daemonFlags).map(([name, flag]) => `   --${name.padEnd(38)} ${flag.help}`);
  return ["NAME:", "   buildkitd - build daemon", "", "OPTIONS:", ...lines, ""].join("\n");
}
