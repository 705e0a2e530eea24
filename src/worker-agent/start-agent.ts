import { AgentLinkClient } from "../agent-link/index.ts";
import { ChunkingMessageBus, connectNats, NatsKeyValueStore, NatsMessageBus } from "../bus/index.ts";
import { type AgentConfig, readFleetTls } from "../config/index.ts";
import type { Logger } from "../core/seams/logger.ts";
import { fleetKey, TransferTokens } from "../transfer/index.ts";
import { splitHostPort } from "../util/host-port.ts";
import { weighBuffersWithHeap } from "../util/process/index.ts";
import { Agent } from "./agent.ts";
import { SpanPublisher } from "./span-publisher.ts";

/** A running agent and its connections; dispose to end them. */
export interface StartedAgent extends AsyncDisposable {
  readonly id: string;
  readonly blobUrl: string;
  /** Tasks running now. */
  readonly running: number;
  /** Takes nothing new; resolves when all that runs has ended and is with others what only it had, or time is up. */
  drain(limitMs: number): Promise<void>;
}

/** An agent of a fleet on NATS. */
export async function startAgent(config: AgentConfig, logger: Logger): Promise<StartedAgent> {
  weighBuffersWithHeap();
  await using owned = new AsyncDisposableStack();
  const tls = config.fleetTls && (await readFleetTls(config.fleetTls));
  const connection = await connectNats(config.nats, "buildfleet-agent");
  const bus = owned.use(
    new ChunkingMessageBus(
      new NatsMessageBus(connection, (subject, error) =>
        logger.warn("message dropped", { subject, error: String(error) }),
      ),
    ),
  );
  owned.use(new SpanPublisher(bus));
  const link = owned.use(new AgentLinkClient(tls === undefined ? {} : { tls }));
  const { listen, advertise } = config.blobServer;
  const agent = owned.use(
    await Agent.start({
      config,
      bus,
      tokens: new TransferTokens(await fleetKey(new NatsKeyValueStore(connection))),
      blobListen: {
        ...splitHostPort(listen),
        ...(advertise === undefined ? {} : { advertise }),
      },
      ...(tls === undefined ? {} : { tls }),
      sessions: ({ coordinator, sessionIds }) => link.group(coordinator.address, coordinator.token, sessionIds),
      channels: ({ coordinator }) => link.channels(coordinator.address, coordinator.token),
      logger,
    }),
  );
  const running = owned.move();
  return {
    id: agent.id,
    blobUrl: agent.blobUrl,
    get running() {
      return agent.running;
    },
    drain: (limitMs) => agent.drain(limitMs),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
