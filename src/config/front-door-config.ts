import type { HistoryLimits } from "./history-limits.ts";

/** Where and to whom the build API is served. */
export interface FrontDoorConfig {
  /** `unix:///path`, `tcp://host:port`, `fd://[name]`. At least one. */
  readonly addresses: readonly string[];
  /** PEM files, for the `tcp://` addresses. `ca` makes client certificates mandatory. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca?: string };
  /** Group that may use the unix socket besides root: name or id. */
  readonly socketGroup?: string;
  /** What builds may ask for beyond the sandbox: `network.host`, `security.insecure`, `device[=…]`. */
  readonly insecureEntitlements: readonly string[];
  /** Frontends that are not offered, e.g. `gateway.v0`. */
  readonly disabledFrontends?: readonly string[];
  /** Repositories frontend images may come from; absent or empty: any. */
  readonly frontendRepositories?: readonly string[];
  /** Directory of JSON files whose keys provenance tells about this builder; default `/etc/buildkit/provenance.d`. */
  readonly provenanceEnvDir?: string;
  /** How long the files of failed steps are kept for a look at them; default 10 minutes. */
  readonly keepFailedMs?: number;
  /** Of how many at most; default 20. */
  readonly keepFailedSteps?: number;
  /** Default: 48 hours and 50 records. */
  readonly history?: HistoryLimits;
  /** `host:port` where Prometheus gets figures; absent: nowhere. */
  readonly metricsListen?: string;
  /** Longest gRPC message accepted. */
  readonly maxMessageBytes: number;
}

/** A `host:port` to listen on, and what others are told to dial when that differs (NAT, 0.0.0.0). */
export interface ListenConfig {
  /** `host:port`; port 0 takes a free one. */
  readonly listen: string;
  /** `host:port`; default: the real listening address, or the host's name when that is a wildcard. */
  readonly advertise?: string;
}
