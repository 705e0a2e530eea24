import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Lines of standard error; what is not taken (false) is part of the error when the command fails. */
  readonly onError?: (line: string) => boolean;
  readonly signal?: AbortSignal;
}

/**
 * Runs a program to its end. @returns its standard output
 * @throws Error with what it said on standard error when it fails
 */
export async function runCommand(argv: readonly string[], options: CommandOptions = {}): Promise<string> {
  const [command = "", ...args] = argv;
  options.signal?.throwIfAborted();
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: { ...process.env, ...options.env },
  });
  const exited = new Promise<string | undefined>((resolve, reject) => {
    child.once("close", (code, signal) => resolve(code === 0 ? undefined : (signal ?? `exit code ${code}`)));
    child.once("error", reject);
  });
  exited.catch(() => {});
  const stop = () => child.kill("SIGTERM");
  options.signal?.addEventListener("abort", stop, { once: true });
  const said: string[] = [];
  let output = "";
  try {
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
    for await (const line of lines(child.stderr)) if (options.onError?.(line) !== true) said.push(line);
    const failure = await exited;
    options.signal?.throwIfAborted();
    if (failure !== undefined)
      throw new Error(`${command} failed (${failure}):\n${[...said, output].join("\n").trim()}`);
    return output;
  } finally {
    options.signal?.removeEventListener("abort", stop);
  }
}

function lines(stream: Readable): AsyncIterable<string> {
  return createInterface({ input: stream });
}
