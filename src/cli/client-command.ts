import type { Command } from "commander";
import { ControlClient, connectDaemon } from "../client/index.ts";
import type { GrpcClient } from "../grpc/index.ts";
import { clientFlags, daemonAddress } from "./client-options.ts";

/** Connects as the command's flags say, and disconnects afterwards. */
export async function withConnection<T>(
  command: Command,
  signal: AbortSignal,
  use: (client: GrpcClient) => Promise<T>,
): Promise<T> {
  await using client = await connectDaemon(await daemonAddress(clientFlags(command)), signal);
  return await use(client);
}

/** The same with the API of BuildKit. */
export function withDaemon<T>(
  command: Command,
  signal: AbortSignal,
  use: (control: ControlClient) => Promise<T>,
): Promise<T> {
  return withConnection(command, signal, (client) => use(new ControlClient(client)));
}

/** Collects a flag that may be repeated. */
export function collect(value: string, previous: readonly string[] = []): readonly string[] {
  return [...previous, value];
}
