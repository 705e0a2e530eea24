/** Runs one daemon: its configuration is the first line of standard input, and it ends when that closes. */
import { createInterface } from "node:readline";
import { startCoordinator } from "../../src/coordinator/start-coordinator.ts";
import { startStandalone } from "../../src/standalone/standalone.ts";
import { createLogger, startTracing } from "../../src/telemetry/index.ts";
import { startAgent } from "../../src/worker-agent/start-agent.ts";
import type { DaemonConfig } from "./daemon.ts";

const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const config = JSON.parse((await input.next()).value ?? "{}") as DaemonConfig;
const logger = createLogger(config.log);
// As the command line starts it: records of builds have traces.
const tracing = await startTracing(process.env, { serviceName: `buildfleet-${config.kind}`, logger });
const daemon = await start();
process.stdout.write("ready\n");

let stopping = false;
process.on("SIGTERM", () => void stop());
process.on("SIGINT", () => {});
while (!(await input.next()).done);
await stop();

async function start(): Promise<AsyncDisposable> {
  switch (config.kind) {
    case "standalone":
      return startStandalone(config, logger);
    case "coordinator":
      return startCoordinator(config, logger);
    case "agent":
      return startAgent(config, logger);
  }
}

async function stop(): Promise<void> {
  if (stopping) return;
  stopping = true;
  await daemon[Symbol.asyncDispose]();
  await tracing[Symbol.asyncDispose]();
  process.exit(0);
}
