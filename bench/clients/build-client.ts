import type { Endpoint } from "../endpoints/endpoint.ts";

/** A build of a Dockerfile. */
export interface BuildSpec {
  /** Directory with the `Dockerfile`. */
  readonly dockerfile: string;
  /** The build context. */
  readonly context: string;
  readonly buildArgs?: Readonly<Record<string, string>>;
  /** More options of the frontend. */
  readonly options?: Readonly<Record<string, string>>;
  readonly output?: {
    readonly type: "oci" | "image";
    readonly attributes: Readonly<Record<string, string>>;
    /** File at the client that takes the archive. */
    readonly file?: string;
  };
}

/** A build of an LLB graph. */
export interface GraphSpec {
  /** A serialized `pb.Definition`. */
  readonly definition: Uint8Array;
  /** Directory of the client for the whole cache (mode max). */
  readonly cacheTo?: string;
  readonly cacheFrom?: string;
}

/** The one program that asks both daemons. */
export interface BuildClient {
  /** For the report. */
  readonly description: string;
  /** Ends with the build. @throws Error with the daemon's words */
  build(endpoint: Endpoint, spec: BuildSpec): Promise<void>;
  /** As `build`. */
  solve(endpoint: Endpoint, spec: GraphSpec): Promise<void>;
  /** Removes everything the daemon keeps. */
  prune(endpoint: Endpoint): Promise<void>;
}
