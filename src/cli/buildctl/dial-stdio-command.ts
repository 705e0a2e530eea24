import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { addAbortSignal } from "node:stream";
import type { Command } from "commander";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { clientFlags, daemonAddress } from "../client-options.ts";
import type { CliContext } from "../context.ts";
import { UsageError } from "../usage-error.ts";

/**
 * `buildctl dial-stdio`: stdin and stdout become a connection to the daemon, for clients that reach it by running a program
 * beside it (cmd/buildctl/dialstdio.go). Ends with the daemon's side of the connection.
 */
export function defineDialStdioCommand(command: Command, { signal, stdin, stdout }: CliContext): void {
  command.action(async () => {
    const { address, timeoutMs } = await daemonAddress(clientFlags(command));
    const socket = addAbortSignal(signal, await dial(address, timeoutMs));
    stdin.pipe(socket);
    try {
      for await (const chunk of socket) {
        await new Promise<void>((resolve, reject) =>
          stdout.write(chunk, (error) => (error ? reject(error) : resolve())),
        );
      }
    } finally {
      // Whoever holds the other end of stdin may never close it.
      stdin.destroy();
      socket.destroy();
    }
  });
}

async function dial(address: string, timeoutMs: number): Promise<Socket> {
  const path = /^unix:\/\/(.+)$/.exec(address)?.[1];
  if (path === undefined) throw new UsageError(`invalid address ${address}: dial-stdio expects unix://`);
  // Each side closes for itself: after the last request there is still the answer.
  const socket = connect({ path, allowHalfOpen: true });
  try {
    await once(socket, "connect", timeoutMs > 0 ? { signal: AbortSignal.timeout(timeoutMs) } : {});
    return socket;
  } catch (error) {
    socket.destroy();
    const reason = error instanceof Error ? error.message : String(error);
    throw new BuildError(Code.Unavailable, `cannot connect to ${address}: ${reason}`, { cause: error });
  }
}
