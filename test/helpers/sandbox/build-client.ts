import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { StatusResponse } from "../../../src/api/gen/control.ts";
import { Definition } from "../../../src/api/gen/ops.ts";
import { GetSecretRequest, GetSecretResponse } from "../../../src/api/gen/secrets.ts";
import type { Policy } from "../../../src/api/gen/sourcepolicy.ts";
import { type BuildOutput, type CacheOption, ControlClient, runBuild } from "../../../src/client/index.ts";
import type { SessionService } from "../../../src/client/session/index.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import { connectGrpc, type GrpcClient, unary } from "../../../src/grpc/index.ts";
import { marshalState, type State } from "../../../src/llb/builder/index.ts";

/** Files of a build context by path. */
export type ContextFiles = Readonly<Record<string, string | Uint8Array>>;

export interface TestBuild {
  /** An LLB graph; exclusive with `dockerfile`. */
  readonly state?: State;
  readonly dockerfile?: string;
  /** Files of the context; a path is taken as it is. */
  readonly context?: ContextFiles | string;
  /** More local directories by name. */
  readonly locals?: Readonly<Record<string, string>>;
  readonly options?: Readonly<Record<string, string>>;
  readonly outputs?: readonly BuildOutput[];
  readonly secrets?: Readonly<Record<string, string>>;
  readonly services?: readonly SessionService[];
  readonly entitlements?: readonly string[];
  readonly sourcePolicy?: Policy;
  readonly cacheImports?: readonly CacheOption[];
  readonly cacheExports?: readonly CacheOption[];
  readonly signal?: AbortSignal;
  /** Called with all output of steps so far, whenever there is more. */
  readonly onLog?: (text: string) => void;
  /** Called with each change of a vertex: what is known of a build that fails. */
  readonly onVertex?: (vertex: VertexSeen) => void;
}

export interface VertexSeen {
  readonly digest: string;
  readonly name: string;
  readonly cached: boolean;
  readonly error: string;
  readonly completed: boolean;
}

/** A build that has ended well. */
export interface FinishedBuild {
  readonly response: Readonly<Record<string, string>>;
  readonly metadata: Readonly<Record<string, Uint8Array>>;
  /** All output of steps. */
  readonly log: string;
  readonly vertices: readonly VertexSeen[];
  /** Names of the vertices that were not run. */
  readonly cached: readonly string[];
  /** Ids of the agents that ran steps, by the step's name; none in a fleet of one. */
  readonly places: ReadonlyMap<string, string>;
}

/** Our own client on one connection to a daemon. */
export class BuildClient implements AsyncDisposable {
  readonly control: ControlClient;
  readonly grpc: GrpcClient;
  readonly #directory: string;

  private constructor(grpc: GrpcClient, directory: string) {
    this.grpc = grpc;
    this.control = new ControlClient(grpc);
    this.#directory = directory;
  }

  /** @param directory for build contexts */
  static async connect(address: string, directory: string): Promise<BuildClient> {
    await mkdir(directory, { recursive: true });
    return new BuildClient(await connectGrpc(address), directory);
  }

  /** @throws BuildError as the daemon says */
  async build(build: TestBuild): Promise<FinishedBuild> {
    const vertices = new Map<string, VertexSeen>();
    const places = new Map<string, string>();
    const logs: Buffer[] = [];
    const onStatus = (status: StatusResponse) => {
      for (const { digest, name, cached, error, completed } of status.vertexes) {
        const before = vertices.get(digest);
        const vertex = {
          digest,
          name,
          cached: cached || (before?.cached ?? false),
          error,
          completed: completed !== undefined,
        };
        vertices.set(digest, vertex);
        build.onVertex?.(vertex);
      }
      for (const { ID: id, vertex } of status.statuses) {
        const agent = /^agent (.*)$/.exec(id)?.[1];
        if (agent !== undefined) places.set(vertices.get(vertex)?.name ?? vertex, agent);
      }
      for (const { msg } of status.logs) logs.push(Buffer.from(msg));
      if (status.logs.length > 0) build.onLog?.(Buffer.concat(logs).toString());
    };
    const { localDirectories, ...what } = await this.#what(build);
    const outcome = await runBuild(
      this.control,
      {
        ref: randomBytes(12).toString("hex"),
        ...what,
        outputs: build.outputs ?? [],
        cacheExports: build.cacheExports ?? [],
        cacheImports: build.cacheImports ?? [],
        entitlements: build.entitlements ?? [],
        ...(build.sourcePolicy === undefined ? {} : { sourcePolicy: build.sourcePolicy }),
        localDirectories: new Map([...localDirectories, ...Object.entries(build.locals ?? {})]),
        services: [...(build.secrets === undefined ? [] : [memorySecrets(build.secrets)]), ...(build.services ?? [])],
      },
      { logger: silentLogger, signal: build.signal ?? new AbortController().signal, onStatus },
    );
    const seen = [...vertices.values()];
    return {
      response: outcome.exporterResponse,
      metadata: outcome.resultMetadata,
      log: Buffer.concat(logs).toString(),
      vertices: seen,
      places,
      cached: seen.filter((vertex) => vertex.cached).map((vertex) => vertex.name),
    };
  }

  async #what(build: TestBuild) {
    const frontendOptions = { ...build.options };
    if (build.state !== undefined) {
      const definition = Definition.encode(marshalState(build.state)).finish();
      return { definition, frontendOptions, localDirectories: [] as [string, string][] };
    }
    const context = typeof build.context === "string" ? build.context : await this.writeContext(build.context ?? {});
    const dockerfile = await this.writeContext({ Dockerfile: build.dockerfile ?? "" });
    const localDirectories: [string, string][] = [
      ["context", context],
      ["dockerfile", dockerfile],
    ];
    return { frontend: "dockerfile.v0", frontendOptions, localDirectories };
  }

  /** A new directory with these files. */
  async writeContext(files: ContextFiles): Promise<string> {
    const directory = await mkdtemp(join(this.#directory, "context-"));
    for (const [path, data] of Object.entries(files)) {
      await mkdir(dirname(join(directory, path)), { recursive: true });
      await writeFile(join(directory, path), data);
    }
    return directory;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.grpc[Symbol.asyncDispose]();
  }
}

/** Secrets that are in no file and no variable. */
export function memorySecrets(secrets: Readonly<Record<string, string>>): SessionService {
  return {
    register: (server) =>
      server.handle(
        "/moby.buildkit.secrets.v1.Secrets/GetSecret",
        unary(GetSecretRequest, GetSecretResponse, async ({ ID: id }) => {
          const value = secrets[id];
          if (value === undefined) throw new BuildError(Code.NotFound, "not found");
          return { data: Buffer.from(value) };
        }),
      ),
  };
}

/** Output that comes to the client as one stream, into a file. */
export function fileOutput(type: string, path: string, attributes: Readonly<Record<string, string>> = {}): BuildOutput {
  return { type, attributes, target: { kind: "file", path } };
}

/** Output of files into a directory. */
export function directoryOutput(path: string): BuildOutput {
  return { type: "local", attributes: {}, target: { kind: "directory", path, deleteOthers: false } };
}

/** Output to a registry. */
export function pushOutput(name: string, attributes: Readonly<Record<string, string>> = {}): BuildOutput {
  return { type: "image", attributes: { name, push: "true", ...attributes } };
}
