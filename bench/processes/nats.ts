import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { answers, freePort, Service } from "./service.ts";

/** A nats-server with JetStream on loopback. */
export interface NatsService extends AsyncDisposable {
  readonly url: string;
}

/** @param directory takes its data */
export async function startNats(directory: string): Promise<NatsService> {
  await mkdir(directory, { recursive: true });
  const port = await freePort();
  const service = await Service.start({
    command: "nats-server",
    args: ["-a", "127.0.0.1", "-p", String(port), "-js", "-sd", join(directory, "data")],
    logFile: join(directory, "nats.log"),
    ready: () => answers(port),
  });
  return { url: `nats://127.0.0.1:${port}`, [Symbol.asyncDispose]: () => service[Symbol.asyncDispose]() };
}
