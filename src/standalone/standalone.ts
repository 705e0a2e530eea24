import { randomBytes, randomUUID } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { LocalChannels } from "../agent-link/index.ts";
import { MemoryMessageBus, SqliteKeyValueStore } from "../bus/index.ts";
import type { StandaloneConfig } from "../config/index.ts";
import { Coordinator } from "../coordinator/coordinator.ts";
import type { Logger } from "../core/seams/logger.ts";
import { TransferTokens } from "../transfer/index.ts";
import { weighBuffersWithHeap } from "../util/process/index.ts";
import { Agent } from "../worker-agent/agent.ts";

/** Coordinator and one agent in this process: what replaces `buildkitd` on one machine. */
export class Standalone implements AsyncDisposable {
  readonly addresses: readonly string[];
  readonly #owned: AsyncDisposableStack;

  private constructor(addresses: readonly string[], owned: AsyncDisposableStack) {
    this.addresses = addresses;
    this.#owned = owned;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }

  static async start(config: StandaloneConfig, logger: Logger): Promise<Standalone> {
    await using owned = new AsyncDisposableStack();
    await mkdir(config.root, { recursive: true, mode: 0o711 });
    const bus = owned.use(new MemoryMessageBus());
    const keyValues = owned.use(new SqliteKeyValueStore(join(config.root, "coordinator.db"), logger));
    // Disposed last of the two: the coordinator's builds end their tasks while the agent can still clean up after them.
    const agents = owned.use(new AsyncDisposableStack());
    const coordinator = await Coordinator.start({
      id: randomUUID(),
      frontDoor: config,
      registries: config.registries,
      bus,
      keyValues,
      stateDir: join(config.root, "coordinator"),
      ...(config.metricsListen === undefined ? {} : { metricsListen: config.metricsListen }),
      logger,
      beforeListening: async ({ taskSessions, registry }) => {
        agents.use(
          await Agent.start({
            config,
            bus,
            tokens: new TransferTokens(randomBytes(32)),
            blobListen: { host: "127.0.0.1", port: 0 },
            sessions: (task) => taskSessions.group(task.coordinator.token),
            channels: (task) => new LocalChannels(taskSessions, task.coordinator.token),
            logger,
          }),
        );
        await registry.waitForAgent();
      },
    });
    owned.use(coordinator);
    return new Standalone(coordinator.addresses, owned.move());
  }
}

/** @returns the running process parts; dispose to end them */
export async function startStandalone(config: StandaloneConfig, logger: Logger): Promise<Standalone> {
  weighBuffersWithHeap();
  return Standalone.start(config, logger);
}
