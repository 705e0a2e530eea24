import type { Command } from "commander";
import type { BuildHistoryRecord } from "../api/gen/control.ts";
import { ControlClient, connectDaemon, followBuild, listBuilds, withReconnects } from "../client/index.ts";
import { progressModes } from "../client/progress/index.ts";
import { findBuild } from "../core/values/find-build.ts";
import { statusToError } from "../grpc/index.ts";
import { clientFlags, daemonAddress } from "./client-options.ts";
import type { CliContext } from "./context.ts";
import { ExitStatus } from "./exit-status.ts";
import { progressMode, ShownProgress, speaks } from "./shown-progress.ts";

interface AttachFlags {
  readonly progress?: string;
  readonly trace?: string;
}

const interrupted = 130;

/** `buildfleet attach [build]` */
export function defineAttachCommand(command: Command, context: CliContext): void {
  command.argument("[build]", "ref of a build or the beginning of one; ^1 is the one before the last", "^0");
  command.option("--progress <mode>", `${progressModes.join(", ")} (default: auto; env BUILDKIT_PROGRESS)`);
  command.option("--trace <file>", "append each progress message to a file, as JSON");
  command.addHelpText(
    "after",
    "\nShows a running build from its start until it ends, and ends as it does; of an ended build what is recorded." +
      "\nCtrl-C leaves the build alone. Builds are started in the background with `buildfleet build --detach`.",
  );
  command.action((name: string, flags: AttachFlags) => attach(name, flags, command, context));
}

async function attach(
  name: string,
  { progress: modeFlag, trace }: AttachFlags,
  command: Command,
  { signal, stderr }: CliContext,
): Promise<void> {
  const mode = progressMode(modeFlag);
  const address = await daemonAddress(clientFlags(command));
  let ref: string | undefined;
  let record: BuildHistoryRecord;
  try {
    using progress = new ShownProgress({ mode, stream: stderr, ...(trace === undefined ? {} : { trace }) });
    const onNotice = (text: string) => progress.notice(text);
    record = await withReconnects({ connect: (during) => connectDaemon(address, during), signal, onNotice }, (client) =>
      follow(new ControlClient(client), progress),
    );
  } catch (error) {
    if (!signal.aborted || ref === undefined) throw error;
    if (speaks(mode)) stderr.write(`detached: the build goes on; see it again with: buildfleet attach ${ref}\n`);
    throw new ExitStatus(interrupted);
  }
  if (record.error !== undefined) throw statusToError(record.error).wrap("failed to solve");
  if (speaks(mode)) stderr.write(resultText(record));

  async function follow(control: ControlClient, progress: ShownProgress): Promise<BuildHistoryRecord> {
    if (ref === undefined) {
      const builds = (await listBuilds(control, signal)).map((build) => build.record);
      ref = findBuild(builds, name).Ref;
    }
    return followBuild(control, ref, {
      signal,
      onStatus: (status) => progress.update(status),
      onNotice: (text) => progress.notice(text),
    });
  }
}

/** What was made, by the names that were asked for. */
function resultText({ Ref, Exporters, Result }: BuildHistoryRecord): string {
  const made = [...(Result?.Results ?? [])].map(([index, { digest }]) => {
    return [Exporters[Number(index)]?.Attrs["name"] ?? "", digest].filter((text) => text !== "").join("@");
  });
  return `build ${Ref} has succeeded${made.length === 0 ? "" : `: ${made.join(", ")}`}\n`;
}
