import { randomUUID } from "node:crypto";
import {
  ChunkingMessageBus,
  connectNats,
  NatsKeyValueStore,
  NatsMessageBus,
  PatientKeyValueStore,
} from "../bus/index.ts";
import { type CoordinatorConfig, readFleetTls } from "../config/index.ts";
import type { Logger } from "../core/seams/logger.ts";
import { weighBuffersWithHeap } from "../util/process/index.ts";
import { systemClock } from "../util/system-clock.ts";
import { Coordinator } from "./coordinator.ts";

/** A running coordinator and its connection to NATS; dispose to end both. */
export interface StartedCoordinator extends AsyncDisposable {
  readonly addresses: readonly string[];
  readonly agentLinkAddress: string;
}

/** A coordinator of a fleet on NATS. */
export async function startCoordinator(config: CoordinatorConfig, logger: Logger): Promise<StartedCoordinator> {
  weighBuffersWithHeap();
  await using owned = new AsyncDisposableStack();
  const id = randomUUID();
  const tls = config.fleetTls && (await readFleetTls(config.fleetTls));
  let over = false;
  const connection = await connectNats(config.nats, `buildfleet-coordinator-${id}`);
  const bus = owned.use(
    new ChunkingMessageBus(
      new NatsMessageBus(connection, (subject, error) =>
        logger.warn("message dropped", { subject, error: String(error) }),
      ),
    ),
  );
  const coordinator = owned.use(
    await Coordinator.start({
      id,
      frontDoor: config,
      registries: config.registries,
      bus,
      keyValues: new PatientKeyValueStore(new NatsKeyValueStore(connection), {
        clock: systemClock,
        isOver: () => over,
      }),
      stateDir: config.stateDir,
      ...(config.metricsListen === undefined ? {} : { metricsListen: config.metricsListen }),
      agentLink: { ...config.agentLink, ...(tls === undefined ? {} : { tls }) },
      logger: logger.child({ coordinator: id }),
    }),
  );
  const running = owned.move();
  return {
    addresses: coordinator.addresses,
    agentLinkAddress: coordinator.agentLinkAddress,
    [Symbol.asyncDispose]: () => {
      over = true;
      return running.disposeAsync();
    },
  };
}
