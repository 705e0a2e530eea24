import type { Clock } from "../../core/seams/clock.ts";
import type { KeyValue } from "../../core/seams/key-value.ts";
import type { Logger } from "../../core/seams/logger.ts";
import type { MessageBus } from "../../core/seams/message-bus.ts";
import type { AgentRegistry } from "./agent-registry.ts";
import { CacheMountIndex } from "./cache-mount-index.ts";
import { CacheMountLocks } from "./cache-mount-locks.ts";
import { CoordinatorSilence } from "./coordinator-silence.ts";
import { FleetCacheMounts } from "./fleet-cache-mounts.ts";

export interface OpenCacheMountsOptions {
  readonly coordinatorId: string;
  readonly bus: MessageBus;
  readonly registry: AgentRegistry;
  /** Bucket of the index. */
  readonly index: KeyValue;
  /** Bucket of the locks. */
  readonly locks: KeyValue;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Puts together what a coordinator has for cache mounts; it ends with `owned`. */
export async function openCacheMounts(
  options: OpenCacheMountsOptions,
  owned: AsyncDisposableStack,
): Promise<FleetCacheMounts> {
  const { bus, registry, logger } = options;
  const coordinators = owned.use(new CoordinatorSilence(options.coordinatorId, bus));
  const index = owned.use(await CacheMountIndex.open(options.index));
  const locks = owned.use(await CacheMountLocks.open({ ...options, bucket: options.locks, coordinators }));
  const isAlive = (agentId: string) => registry.get(agentId) !== undefined;
  return owned.use(new FleetCacheMounts({ bus, index, locks, isAlive, logger }));
}
