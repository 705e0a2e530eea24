export type { AgentConfig, SnapshotterName, WorkerConfig } from "./agent-config.ts";
export type { CoordinatorConfig } from "./coordinator-config.ts";
export type { FrontDoorConfig, ListenConfig } from "./front-door-config.ts";
export type { GcRule } from "./gc-config.ts";
export { type LogConfig, type LogFormat, type LogLevel, logFormats, logLevels } from "./log-config.ts";
export type { NatsConfig } from "./nats-config.ts";
export type { RegistryConfig, RegistryConfigs } from "./registry-config.ts";
export type { StandaloneConfig } from "./standalone-config.ts";
