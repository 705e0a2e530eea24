import type { Command } from "commander";
import { BuildsClient } from "../../client/index.ts";
import { withConnection } from "../client-command.ts";
import type { CliContext } from "../context.ts";
import { checkFormat } from "../output-format.ts";
import { UsageError } from "../usage-error.ts";
import { explanationJson, explanationText } from "./explanation-output.ts";

interface ExplainFlags {
  readonly files?: number;
  readonly format?: string;
}

/** `buildfleet explain [build] [step]` */
export function defineExplainCommand(command: Command, { signal, stdout }: CliContext): void {
  command.argument("[build]", "ref of a build or the beginning of one; ^1 is the one before the last", "^0");
  command.argument("[step]", "number, digest, or part of a name (default: all steps that ran)", "");
  command.option("--files <number>", "most files to name for each input (default: 20)", parseCount);
  command.option("--format <format>", "table or json", "table");
  command.addHelpText(
    "after",
    "\nRefs of builds are listed by `docker buildx history ls` and `buildctl debug histories`. Steps are numbered as in plain" +
      "\nprogress, where those that run side by side may have changed places.",
  );
  command.action(async (build: string, step: string, flags: ExplainFlags) => {
    const json = checkFormat(flags.format) === "json";
    const request = { build, step, maxFiles: flags.files ?? 0 };
    const explanation = await withConnection(command, signal, (client) =>
      new BuildsClient(client).explain(request, signal),
    );
    stdout.write(
      json ? `${JSON.stringify(explanationJson(explanation), null, 2)}\n` : explanationText(explanation, step !== ""),
    );
  });
}

function parseCount(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new UsageError(`--files wants a number, not ${JSON.stringify(text)}`);
  return Number(text);
}
