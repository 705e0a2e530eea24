export { ChunkingMessageBus } from "./chunking-message-bus.ts";
export { LiveCoordinators, type LiveCoordinatorsTimes } from "./live-coordinators.ts";
export { MemoryKeyValueStore } from "./memory/memory-key-value.ts";
export { MemoryMessageBus } from "./memory/memory-message-bus.ts";
export { connectNats, type NatsAddress } from "./nats/connect-nats.ts";
export { NatsKeyValueStore } from "./nats/nats-key-value.ts";
export { NatsMessageBus } from "./nats/nats-message-bus.ts";
export { SqliteKeyValueStore } from "./sqlite/sqlite-key-value.ts";
export { subjects } from "./subjects.ts";
