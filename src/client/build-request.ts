import type { Policy } from "../api/gen/sourcepolicy.ts";
import type { ExportTarget } from "./session/export-targets.ts";
import type { SessionService } from "./session/session-service.ts";

/** One `--output`. */
export interface BuildOutput {
  readonly type: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** Where its bytes go, for outputs that come to the client. */
  readonly target?: ExportTarget;
}

/** One `--export-cache` or `--import-cache`. */
export interface CacheOption {
  readonly type: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/** What `runBuild` builds. */
export interface BuildRequest {
  /** Names the build in the daemon; unique. */
  readonly ref: string;
  /** Marshalled `pb.Definition`; exactly one of this and `frontend`. */
  readonly definition?: Uint8Array;
  readonly frontend?: string;
  /** `--opt` */
  readonly frontendOptions: Readonly<Record<string, string>>;
  readonly outputs: readonly BuildOutput[];
  readonly cacheExports: readonly CacheOption[];
  readonly cacheImports: readonly CacheOption[];
  readonly entitlements: readonly string[];
  readonly sourcePolicy?: Policy;
  /** Absolute directories by name. */
  readonly localDirectories: ReadonlyMap<string, string>;
  /** Secrets, logins, agents: what else the daemon may ask for. */
  readonly services: readonly SessionService[];
}

export interface BuildOutcome {
  /** What exporters say of what they made: digests, names. */
  readonly exporterResponse: Readonly<Record<string, string>>;
  /** Metadata of the result, for requests that only ask (`--opt requestid=`). */
  readonly resultMetadata: Readonly<Record<string, Uint8Array>>;
}
