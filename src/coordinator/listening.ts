import { readFile } from "node:fs/promises";
import { AgentLinkServer } from "../agent-link/index.ts";
import type { FrontDoorConfig } from "../config/index.ts";
import type { Logger } from "../core/seams/logger.ts";
import { type GrpcListener, type GrpcServer, listenGrpc } from "../grpc/index.ts";
import { dialAddress, splitHostPort } from "../util/host-port.ts";
import type { CoordinatorOptions } from "./coordinator.ts";
import type { TaskSessions } from "./fleet/task-sessions.ts";

/** @returns what agents are told to dial; empty when the only agent is in this process */
export async function listenForAgents(
  agentLink: CoordinatorOptions["agentLink"],
  access: TaskSessions,
  logger: Logger,
  owned: AsyncDisposableStack,
): Promise<string> {
  if (agentLink === undefined) return "";
  const { tls } = agentLink;
  const server = owned.use(
    new AgentLinkServer({ access, channels: access, logger, ...(tls === undefined ? {} : { tls }) }),
  );
  const port = await server.listen(agentLink.listen);
  return agentLink.advertise ?? dialAddress(splitHostPort(agentLink.listen).host, port);
}

/** @returns addresses clients can use, with real ports */
export async function listenForClients(
  server: GrpcServer,
  config: FrontDoorConfig,
  owned: AsyncDisposableStack,
): Promise<readonly string[]> {
  const listeners: GrpcListener[] = [];
  for (const address of config.addresses) {
    listeners.push(owned.use(await listenGrpc(server, address, await listenOptions(config))));
  }
  return listeners.map((listener) => listener.address);
}

async function listenOptions(config: FrontDoorConfig): Promise<Parameters<typeof listenGrpc>[2]> {
  const { tls, socketGroup } = config;
  const read = (path: string) => readFile(path);
  return {
    ...(socketGroup === undefined ? {} : { socketGroup }),
    ...(tls === undefined
      ? {}
      : {
          tls: {
            cert: await read(tls.cert),
            key: await read(tls.key),
            ...(tls.ca === undefined ? {} : { ca: await read(tls.ca) }),
          },
        }),
  };
}
