import { CommanderError } from "commander";
import { policyDenials, sourceExcerpts } from "../client/index.ts";
import { ConfigError } from "../config/index.ts";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import { ExitStatus } from "./exit-status.ts";
import { createProgram } from "./program.ts";
import { UsageError } from "./usage-error.ts";

const sameSignalMs = 200;

/** Runs the command line. @returns the exit code */
async function main(args: readonly string[]): Promise<number> {
  const abort = new AbortController();
  let lastAt = 0;
  let second: (() => void) | undefined;
  const onSignal = (name: NodeJS.Signals) => {
    // A launcher passes on what the terminal has sent to both: that is one signal, not two.
    if (abort.signal.aborted && performance.now() - lastAt < sameSignalMs) return;
    lastAt = performance.now();
    if (!abort.signal.aborted) abort.abort(new BuildError(Code.Canceled, "context canceled"));
    else if (second === undefined) process.exit(name === "SIGINT" ? 130 : 143);
    else {
      second();
      second = undefined;
    }
  };
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  const { stdin, stdout, stderr } = process;
  const program = createProgram({
    ...{ signal: abort.signal, stdin, stdout, stderr, signals: process },
    onSecondSignal: (act) => {
      second = act;
    },
  });
  try {
    await program.parseAsync(args, { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof ExitStatus) return error.code;
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return 0;
      stderr.write(`${error.message}\n`);
      return 1;
    }
    if (error instanceof BuildError) {
      for (const text of sourceExcerpts(error)) stderr.write(text);
      for (const reason of policyDenials(error)) stderr.write(`policy deny: ${reason}\n`);
    }
    stderr.write(`error: ${messageOf(error)}\n`);
    const unexpected = !(error instanceof BuildError || error instanceof UsageError || error instanceof ConfigError);
    if (error instanceof Error && (args.includes("--debug") || (unexpected && !hasErrno(error)))) {
      stderr.write(`${error.stack}\n`);
    }
    return 1;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Errors of the system (missing files, refused connections) say enough by themselves. */
function hasErrno(error: Error): boolean {
  return typeof (error as NodeJS.ErrnoException).code === "string";
}

// A reader that has seen enough (`| head`) is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

process.exitCode = await main(process.argv.slice(2));
