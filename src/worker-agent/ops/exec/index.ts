export type { CacheMountCopy, CacheMountRecord } from "./cache-mount-lease.ts";
export { CacheMountStore, type CacheMountStoreOptions } from "./cache-mount-store.ts";
export { copyTree } from "./copy-tree.ts";
export { MountArea } from "./mount-area.ts";
export { StepLog, type StepLogLimits, stepLogLimits } from "./step-log.ts";
export { StepMounts, type StepMountsOptions } from "./step-mounts.ts";
export { treeBytes } from "./tree-bytes.ts";
