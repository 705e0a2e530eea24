import type { WorkerConfig } from "./agent-config.ts";
import type { FrontDoorConfig } from "./front-door-config.ts";
import type { LogConfig } from "./log-config.ts";

/** Everything `startStandalone` needs: coordinator and one agent in a process, without NATS. `root` holds the state of both. */
export interface StandaloneConfig extends FrontDoorConfig, WorkerConfig {
  readonly log: LogConfig;
  readonly debug: boolean;
}
