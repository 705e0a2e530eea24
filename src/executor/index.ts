export { CdiRegistry } from "./cdi/cdi-registry.ts";
export { setUpCgroupRoot } from "./cgroup-root.ts";
export { Cgroups } from "./cgroups.ts";
export { findRuntime, type OciRuntime } from "./find-runtime.ts";
export type { DnsConfig } from "./network/resolv-conf.ts";
export { OciExecutor, type OciExecutorOptions } from "./oci-executor.ts";
export { resolveInRoot } from "./rootfs/resolve-in-root.ts";
export { TracingExecutor } from "./tracing-executor.ts";
