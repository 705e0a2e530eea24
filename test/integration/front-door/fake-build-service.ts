import type { Definition } from "../../../src/api/gen/ops.ts";
import type { WorkerRecord } from "../../../src/api/gen/worker.ts";
import type {
  ActiveBuild,
  BuildService,
  DiskUsageQuery,
  PruneQuery,
  SolveParams,
  UsageRecord,
} from "../../../src/coordinator/front-door/index.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import type { BridgeRef, BridgeSolveRequest, FrontendResult } from "../../../src/core/seams/llb-bridge.ts";
import type { SolveProgress } from "../../../src/core/values/solve-progress.ts";
import { AsyncQueue } from "../../../src/util/async-queue.ts";

export type SolveHook = (request: BridgeSolveRequest, build: FakeBuild, signal: AbortSignal) => Promise<FrontendResult>;

/** Builds nothing; keeps what it was asked and lets the test decide what a solve gives. */
export class FakeBuildService implements BuildService {
  readonly started: FakeBuild[] = [];
  onSolve: SolveHook = async (request) => ({
    ref: fakeRef("ref-1", request.definition),
    metadata: new Map(),
  });
  onFinish: (build: FakeBuild, result: FrontendResult) => Promise<Record<string, string>> = async () => ({
    "image.name": "docker.io/library/fake:latest",
  });
  usage: UsageRecord[] = [
    {
      id: "record-1",
      mutable: false,
      inUse: false,
      sizeBytes: 1234,
      createdAt: 1_700_000_000_500,
      lastUsedAt: 1_700_000_001_000,
      usageCount: 3,
      description: "a record",
      recordType: "regular",
      shared: false,
      parents: ["record-0"],
    },
  ];
  lastDiskUsage: DiskUsageQuery | undefined;
  lastPrune: PruneQuery | undefined;

  async start(params: SolveParams, signal: AbortSignal): Promise<ActiveBuild> {
    if (params.exporters.some((entry) => entry.type === "no-such")) {
      throw new BuildError(Code.Unknown, 'exporter "no-such" could not be found');
    }
    const build = new FakeBuild(this, params, signal);
    this.started.push(build);
    return build;
  }

  async diskUsage(query: DiskUsageQuery): Promise<readonly UsageRecord[]> {
    this.lastDiskUsage = query;
    return this.usage;
  }

  async *prune(query: PruneQuery): AsyncGenerator<UsageRecord> {
    this.lastPrune = query;
    yield* this.usage;
  }

  async workers(): Promise<readonly WorkerRecord[]> {
    return [
      {
        ID: "worker-1",
        Labels: { "org.mobyproject.buildkit.worker.executor": "fake" },
        platforms: [{ OS: "linux", Architecture: "amd64", Variant: "", OSVersion: "", OSFeatures: [] }],
        GCPolicy: [],
        BuildkitVersion: { package: "buildfleet", version: "v0.0.0", revision: "", dockerfileVersion: "" },
        CDIDevices: [],
      },
    ];
  }
}

export class FakeBuild implements ActiveBuild {
  readonly params: SolveParams;
  readonly signal: AbortSignal;
  readonly bridge: ActiveBuild["bridge"];
  outcome: { result: FrontendResult } | { error: BuildError } | undefined;
  warnings: string[] = [];
  readonly #service: FakeBuildService;
  readonly #batches: SolveProgress[] = [];
  readonly #readers = new Set<AsyncQueue<SolveProgress>>();
  #ended = false;

  constructor(service: FakeBuildService, params: SolveParams, signal: AbortSignal) {
    this.#service = service;
    this.params = params;
    this.signal = signal;
    this.bridge = {
      solve: (request, solveSignal) => service.onSolve(request, this, solveSignal),
      resolveSourceMeta: async (request) => ({
        source: request.source,
        image: {
          digest: `sha256:${"a".repeat(64)}` as never,
          config: Buffer.from("{}"),
        },
      }),
      newContainer: async () => {
        throw new BuildError(Code.Unimplemented, "no containers here");
      },
      log: () => ({ write: () => {}, end: () => {} }),
      warn: (warning) => {
        this.warnings.push(warning.short);
      },
      workers: () => [
        {
          id: "worker-1",
          labels: {},
          platforms: [{ os: "linux", architecture: "amd64", variant: "", osVersion: "", osFeatures: [] }],
        },
      ],
      sessionIds: [params.sessionId],
    };
  }

  report(batch: Partial<SolveProgress>): void {
    const whole = { vertexes: [], statuses: [], logs: [], warnings: [], ...batch };
    this.#batches.push(whole);
    for (const reader of this.#readers) reader.offer(whole);
  }

  async finish(result: FrontendResult): Promise<Readonly<Record<string, string>>> {
    this.outcome = { result };
    try {
      return await this.#service.onFinish(this, result);
    } finally {
      this.#end();
    }
  }

  async fail(error: BuildError): Promise<void> {
    this.outcome = { error };
    this.#end();
  }

  async *progress(signal: AbortSignal): AsyncGenerator<SolveProgress> {
    const queue = new AsyncQueue<SolveProgress>();
    for (const batch of this.#batches) queue.offer(batch);
    if (this.#ended) queue.end();
    this.#readers.add(queue);
    const stop = () => queue.end();
    signal.addEventListener("abort", stop, { once: true });
    try {
      yield* queue;
    } finally {
      signal.removeEventListener("abort", stop);
      this.#readers.delete(queue);
    }
  }

  #end(): void {
    this.#ended = true;
    for (const reader of this.#readers) reader.end();
  }
}

export function fakeRef(id: string, definition?: Definition): BridgeRef {
  return {
    id,
    definition: definition ?? { def: [], metadata: {}, Source: undefined },
    evaluate: async () => [] as never,
    readFile: async (path, range) =>
      Buffer.from(`content of ${path}`).subarray(range?.offset ?? 0, range && range.offset + range.length),
    readDir: async () => [],
    statFile: async (path) => ({
      path,
      mode: 0o644,
      uid: 0,
      gid: 0,
      size: 3,
      modTime: 0n,
      linkname: "",
      devmajor: 0,
      devminor: 0,
      xattrs: {},
    }),
  };
}
