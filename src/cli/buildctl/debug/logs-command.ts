import type { Command } from "commander";
import type { ControlClient } from "../../../client/index.ts";
import { progressModes } from "../../../client/progress/index.ts";
import { withDaemon } from "../../client-command.ts";
import type { CliContext, OutputStream } from "../../context.ts";
import { progressMode, ShownProgress } from "../../shown-progress.ts";
import { UsageError } from "../../usage-error.ts";
import { writeBlob } from "./get-command.ts";

interface LogsFlags {
  readonly progress?: string;
  readonly trace?: boolean;
}

/** `buildctl debug logs`: the progress of a build that runs or is recorded, or its trace. */
export function defineLogsCommand(command: Command, { signal, stdout }: CliContext): void {
  command.argument("[ref]", "build");
  command.option("--progress <mode>", progressModes.join(", "), "auto");
  command.option("--trace", "show the OpenTelemetry trace");
  command.action(async (ref: string | undefined, flags: LogsFlags) => {
    if (ref === undefined) throw new UsageError("build ref must be specified");
    const mode = progressMode(flags.progress);
    await withDaemon(command, signal, async (control) => {
      if (flags.trace) return writeTrace(control, ref, signal, stdout);
      using progress = new ShownProgress({ mode, stream: stdout });
      for await (const status of control.status(ref, signal)) progress.update(status);
    });
  });
}

async function writeTrace(control: ControlClient, ref: string, signal: AbortSignal, to: OutputStream): Promise<void> {
  for await (const { record } of control.history({ Ref: ref, EarlyExit: true }, signal)) {
    if (record?.trace === undefined) throw new UsageError(`ref ${ref} does not have trace`);
    return writeBlob(control, record.trace.digest, signal, to);
  }
  throw new UsageError(`ref ${ref} not found`);
}
