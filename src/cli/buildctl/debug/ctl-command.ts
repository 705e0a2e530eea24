import type { Command } from "commander";
import { withDaemon } from "../../client-command.ts";
import type { CliContext } from "../../context.ts";
import { UsageError } from "../../usage-error.ts";

interface CtlFlags {
  readonly pin?: boolean;
  readonly unpin?: boolean;
  readonly delete?: boolean;
}

/** `buildctl debug ctl`: changes the record of a build. */
export function defineCtlCommand(command: Command, { signal }: CliContext): void {
  command.argument("[ref]", "build");
  command.option("--pin", "keep the record whatever its age");
  command.option("--unpin", "let it go with others of its age");
  command.option("--delete", "delete it");
  command.action(async (ref: string | undefined, { pin = false, unpin = false, delete: remove = false }: CtlFlags) => {
    if (ref === undefined) throw new UsageError("build ref must be specified");
    if (!pin && !unpin && !remove) throw new UsageError("must specify one of --pin, --unpin, --delete");
    if (pin && unpin) throw new UsageError("cannot specify both --pin and --unpin");
    if (remove && (pin || unpin)) throw new UsageError("cannot specify --delete with --pin or --unpin");
    const change = { Ref: ref, Pinned: pin, Delete: remove };
    await withDaemon(command, signal, (control) => control.updateHistory(change, signal));
  });
}
