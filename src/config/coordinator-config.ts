import type { FleetTlsConfig } from "./fleet-tls.ts";
import type { FrontDoorConfig, ListenConfig } from "./front-door-config.ts";
import type { LogConfig } from "./log-config.ts";
import type { NatsConfig } from "./nats-config.ts";
import type { RegistryConfigs } from "./registry-config.ts";

/** Everything `startCoordinator` needs. */
export interface CoordinatorConfig extends FrontDoorConfig {
  readonly nats: NatsConfig;
  /** Where agents dial in for session calls and streams. */
  readonly agentLink: ListenConfig;
  /** For the agent link; absent = plain. */
  readonly fleetTls?: FleetTlsConfig;
  /** Directory that this process owns: history, cache metadata. */
  readonly stateDir: string;
  readonly registries: RegistryConfigs;
  readonly log: LogConfig;
  readonly debug: boolean;
}
