export { weighBuffersWithHeap } from "./buffer-memory.ts";
export type { ExitStatus } from "./frames.ts";
export { ProcessSpawner, type ProcessSpawnerOptions, type SpawnOptions } from "./process-spawner.ts";
export { SpawnError } from "./spawn-error.ts";
