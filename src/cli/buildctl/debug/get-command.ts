import type { Command } from "commander";
import type { ControlClient } from "../../../client/index.ts";
import { parseDigest } from "../../../core/values/digest.ts";
import { withDaemon } from "../../client-command.ts";
import type { CliContext, OutputStream } from "../../context.ts";
import { UsageError } from "../../usage-error.ts";

/** `buildctl debug get`: a blob that a record names, to stdout. */
export function defineGetCommand(command: Command, { signal, stdout }: CliContext): void {
  command.argument("[digest]", "blob");
  command.action(async (digest: string | undefined) => {
    if (digest === undefined) throw new UsageError("blob digest must be specified");
    parseDigest(digest);
    await withDaemon(command, signal, (control) => writeBlob(control, digest, signal, stdout));
  });
}

export async function writeBlob(
  control: ControlClient,
  digest: string,
  signal: AbortSignal,
  to: OutputStream,
): Promise<void> {
  for await (const data of control.content(digest, signal)) {
    await new Promise<void>((resolve, reject) => to.write(data, (error) => (error ? reject(error) : resolve())));
  }
}
