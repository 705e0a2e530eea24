import type { Command } from "commander";
import type { ShellOpened } from "../../api/gen/debug.ts";
import { connectDaemon, ShellCall } from "../../client/index.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { clientFlags, daemonAddress } from "../client-options.ts";
import type { CliContext } from "../context.ts";
import { ExitStatus } from "../exit-status.ts";
import { UsageError } from "../usage-error.ts";
import { LocalTerminal } from "./local-terminal.ts";

interface ShellFlags {
  readonly on: string;
  readonly step?: string;
}

const help = `
The container has the mounts, environment, user and directory that the step had, and is gone when the shell ends; but for cache
mounts, nothing that is done in it stays. Steps that failed are kept for some minutes (--keep-failed of the daemon).

Examples:
  $ buildfleet debug shell                       where the last build failed, as the step left it
  $ buildfleet debug shell 3xk --on inputs       build 3xk…, before the step
  $ buildfleet debug shell -- cat /tmp/test.log  one command; its exit code is ours`;

/** `buildfleet debug shell` */
export function defineShellCommand(command: Command, context: CliContext): void {
  command.usage("[options] [build] [-- command...]");
  command.argument("[build]", "ref of a build, or its beginning (default: the last that failed)");
  command.argument("[command...]", "to run in place of a shell");
  command.option("--on <state>", "result: what the step left half done; inputs: what it began with", "result");
  command.option("--step <text>", "part of the step's name, or beginning of its digest (default: the last)");
  command.addHelpText("after", help);
  command.action(async (...[, , flags]: [unknown, unknown, ShellFlags]) => {
    if (flags.on !== "result" && flags.on !== "inputs") {
      throw new UsageError(`--on is "result" or "inputs", not ${JSON.stringify(flags.on)}`);
    }
    const { build, args } = words(command);
    const request = { build, step: flags.step ?? "", inputs: flags.on === "inputs" };
    await using client = await connectDaemon(await daemonAddress(clientFlags(command)), context.signal);
    await using call = await ShellCall.open(client, request, context.signal);
    context.stderr.write(greeting(call.opened, request.inputs));
    using terminal = new LocalTerminal(context, call);
    const { process } = call.opened;
    if (process?.Meta === undefined) throw new BuildError(Code.Internal, "the daemon offers no process");
    const code = await call.run(
      {
        ...process,
        Meta: args.length === 0 ? process.Meta : { ...process.Meta, args: [...args] },
        Fds: terminal.isTerminal ? [0, 1] : [0, 1, 2],
        Tty: terminal.isTerminal,
      },
      terminal,
    );
    if (code !== 0) throw new ExitStatus(code);
  });
}

/** What comes after `--` is the command, also without a build before it. */
function words({ args, parent }: Command): { readonly build: string; readonly args: readonly string[] } {
  const given = rawArguments(parent);
  const dashes = given.indexOf("--");
  const count = dashes === -1 ? 0 : given.length - dashes - 1;
  const [build = "", ...rest] = args.slice(0, args.length - count);
  if (rest.length > 0)
    throw new UsageError(`a command comes after "--": buildfleet debug shell ${build} -- ${rest.join(" ")}`);
  return { build, args: count === 0 ? [] : args.slice(-count) };
}

function rawArguments(command: Command | null): readonly string[] {
  if (command === null) return [];
  return command.parent === null ? (command as Command & { rawArgs: string[] }).rawArgs : rawArguments(command.parent);
}

function greeting({ build, step, error, agent, notes }: ShellOpened, inputs: boolean): string {
  const where = agent === "" ? "" : ` on agent ${agent}`;
  return [
    `build ${build}: ${step}`,
    error,
    `${inputs ? "before the step" : "as the step left it"}${where}; what is done here is thrown away`,
    ...notes,
  ]
    .map((line) => `# ${line}\n`)
    .join("");
}
