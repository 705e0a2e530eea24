import type { Command } from "commander";
import type { BuildkitVersion } from "../../../api/gen/worker.ts";
import { withDaemon } from "../../client-command.ts";
import type { CliContext } from "../../context.ts";
import { formatHelp, parseTemplate } from "../go-template.ts";
import { infoValue } from "../messages.ts";
import { type Line, spaces, tabbed } from "../tab-writer.ts";

/** `buildctl debug info` */
export function defineInfoCommand(command: Command, { signal, stdout }: CliContext): void {
  command.option("--format <template>", formatHelp);
  command.action(async ({ format }: { readonly format?: string }) => {
    const template = format && parseTemplate(format);
    const version = await withDaemon(command, signal, (control) => control.info(signal));
    stdout.write(template ? `${template(infoValue(version))}\n` : tabbed(versionLines(version), spaces));
  });
}

export function versionLines(version: BuildkitVersion | undefined): readonly Line[] {
  const { package: name = "", version: number = "", revision = "", dockerfileVersion = "" } = version ?? {};
  return [
    ["BuildKit:", `${name} ${number} ${revision}`],
    ...(dockerfileVersion === "" ? [] : [["Dockerfile:", dockerfileVersion]]),
  ];
}
