import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { frontDoorDefaults, quiet, startDaemon, workerDefaults } from "../processes/daemon.ts";
import { startNats } from "../processes/nats.ts";
import { freePort } from "../processes/service.ts";
import type { Endpoint } from "./endpoint.ts";

/** NATS, a coordinator, and as many agents as asked for: each a process. */
export class Fleet implements AsyncDisposable {
  readonly endpoint: Endpoint;
  readonly #directory: string;
  readonly #natsUrl: string;
  readonly #processes: AsyncDisposableStack;
  #agents = 0;

  private constructor(endpoint: Endpoint, directory: string, natsUrl: string, processes: AsyncDisposableStack) {
    this.endpoint = endpoint;
    this.#directory = directory;
    this.#natsUrl = natsUrl;
    this.#processes = processes;
  }

  /** A fleet without agents. @param directory takes the state of all of them */
  static async start(directory: string): Promise<Fleet> {
    await using processes = new AsyncDisposableStack();
    await mkdir(directory, { recursive: true });
    const nats = processes.use(await startNats(join(directory, "nats")));
    const address = `tcp://127.0.0.1:${await freePort()}`;
    processes.use(
      await startDaemon(
        {
          kind: "coordinator",
          ...frontDoorDefaults,
          ...quiet,
          addresses: [address],
          nats: { urls: [nats.url] },
          agentLink: { listen: "127.0.0.1:0" },
          stateDir: join(directory, "coordinator"),
          registries: {},
        },
        join(directory, "coordinator.log"),
      ),
    );
    return new Fleet({ name: "ours", address }, directory, nats.url, processes.move());
  }

  /** Adds agents of one slot each until there are this many. */
  async grow(agents: number): Promise<void> {
    while (this.#agents < agents) {
      const name = `agent-${this.#agents++}`;
      this.#processes.use(
        await startDaemon(
          {
            kind: "agent",
            ...workerDefaults,
            ...quiet,
            nats: { urls: [this.#natsUrl] },
            root: join(this.#directory, name),
            capacity: { slots: 1, cpu: 1, memoryBytes: 4e9 },
            blobServer: { listen: "127.0.0.1:0" },
            drainTimeoutMs: 60_000,
          },
          join(this.#directory, `${name}.log`),
        ),
      );
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#processes.disposeAsync();
  }
}
