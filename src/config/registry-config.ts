import type { RegistryConfig } from "../registry/index.ts";

export type { RegistryConfig };

/** `[registry."host"]` tables by exact host name (`docker.io` for the default registry). */
export type RegistryConfigs = Readonly<Record<string, RegistryConfig>>;
