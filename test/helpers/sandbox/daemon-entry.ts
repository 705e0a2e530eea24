/** Starts one daemon: its kind is the argument, its configuration the first line of standard input. */
import { createInterface } from "node:readline";
import type { AgentConfig, CoordinatorConfig, StandaloneConfig } from "../../../src/config/index.ts";
import type { Logger } from "../../../src/core/seams/logger.ts";
import { createLogger, startTracing } from "../../../src/telemetry/index.ts";

const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const config: unknown = JSON.parse((await input.next()).value ?? "{}");
const logger = createLogger({ level: "debug", format: "text" });
const tracing = await startTracing(process.env, { serviceName: process.argv[2] ?? "", logger });
const daemon = await start(process.argv[2], config, logger);
const { addresses, agentLinkAddress, id, blobUrl } = daemon;
process.stdout.write(`${JSON.stringify({ addresses, agentLinkAddress, id, blobUrl })}\n`);

let stopping = false;
const stop = async () => {
  if (stopping) return;
  stopping = true;
  await daemon[Symbol.asyncDispose]();
  await tracing[Symbol.asyncDispose]();
  process.exit(0);
};
process.on("SIGTERM", () => void stop());
process.on("SIGINT", () => void stop());
// The test that started this process has gone.
if ((await input.next()).done) await stop();

interface Started extends AsyncDisposable {
  readonly addresses?: readonly string[];
  readonly agentLinkAddress?: string;
  readonly id?: string;
  readonly blobUrl?: string;
}

async function start(kind: string | undefined, config: unknown, logger: Logger): Promise<Started> {
  switch (kind) {
    case "coordinator": {
      const { startCoordinator } = await import("../../../src/coordinator/start-coordinator.ts");
      return startCoordinator(config as CoordinatorConfig, logger);
    }
    case "agent": {
      const { startAgent } = await import("../../../src/worker-agent/start-agent.ts");
      return startAgent(config as AgentConfig, logger);
    }
    case "standalone": {
      const { startStandalone } = await import("../../../src/standalone/standalone.ts");
      return startStandalone(config as StandaloneConfig, logger);
    }
    default:
      throw new Error(`unknown kind ${kind}`);
  }
}
