import { totalmem } from "node:os";
import { join } from "node:path";
import { frontDoorDefaults, quiet, startDaemon, workerDefaults } from "../processes/daemon.ts";
import { freePort } from "../processes/service.ts";
import type { Endpoint } from "./endpoint.ts";

/** Buildfleet in one process, as it replaces `buildkitd` on one machine. @param directory takes its state */
export async function startStandaloneEndpoint(directory: string): Promise<Endpoint & AsyncDisposable> {
  const address = `tcp://127.0.0.1:${await freePort()}`;
  const service = await startDaemon(
    {
      kind: "standalone",
      ...workerDefaults,
      ...frontDoorDefaults,
      ...quiet,
      addresses: [address],
      root: join(directory, "standalone"),
      capacity: { slots: 16, cpu: 16, memoryBytes: totalmem() },
    },
    join(directory, "standalone.log"),
  );
  return { name: "ours", address, pid: service.pid, [Symbol.asyncDispose]: () => service[Symbol.asyncDispose]() };
}
