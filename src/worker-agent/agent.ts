import { randomUUID } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { Agent as HttpAgent } from "undici";
import { CheckedKeyValueStore, LiveCoordinators, SqliteKeyValueStore, subjects } from "../bus/index.ts";
import type { GcRule, WorkerConfig } from "../config/index.ts";
import { LocalContentStore } from "../content/index.ts";
import { ContentHasher } from "../contenthash/index.ts";
import type { CacheMountStream } from "../core/seams/cache-mount-transport.ts";
import type { Clock } from "../core/seams/clock.ts";
import type { Logger } from "../core/seams/logger.ts";
import type { MessageBus } from "../core/seams/message-bus.ts";
import type { OpRunners } from "../core/seams/op-runner.ts";
import type { SessionGroup } from "../core/seams/session-caller.ts";
import type { TaskChannels } from "../core/seams/task-channel.ts";
import type { AgentRecord, PruneOptions } from "../core/values/agent.ts";
import type { CacheMountSized, CacheMountsDropped, CacheMountsForgotten } from "../core/values/cache-mount.ts";
import { isDescriptor } from "../core/values/descriptor.ts";
import { isLayerInfo, type LayerId } from "../core/values/layer.ts";
import { parsePlatform } from "../core/values/platform.ts";
import type { Task } from "../core/values/task.ts";
import { CdiRegistry, findRuntime, OciExecutor, TracingExecutor } from "../executor/index.ts";
import { RegistryClient, RegistryHosts, SiblingMounts } from "../registry/index.ts";
import { TracingSessionGroup } from "../session/index.ts";
import { LayerPacker, LayerWorkers, openSnapshotter, TracingSnapshotter } from "../snapshot/index.ts";
import { BlobSource, GitSource, HttpSource, isValidators, RemoteOriginReader } from "../source/index.ts";
import {
  BlobServer,
  BlobSwarm,
  HttpBlobTransport,
  MeteredBlobTransport,
  SwarmServer,
  TracingBlobTransport,
  TransferMeter,
  type TransferTokens,
} from "../transfer/index.ts";
import { dialAddress } from "../util/host-port.ts";
import { decode, encode } from "../util/msgpack.ts";
import type { MutualTls } from "../util/mutual-tls.ts";
import { ProcessSpawner } from "../util/process/index.ts";
import { steadyClock, systemClock } from "../util/system-clock.ts";
import { version } from "../version.ts";
import { agentId } from "./agent-id.ts";
import { ContainerRunner } from "./containers/container-runner.ts";
import { ControlServer } from "./control-server.ts";
import { Departure } from "./departure.ts";
import { Emulators } from "./emulation/index.ts";
import { HandoverRequests } from "./handover-requests.ts";
import { Heartbeat } from "./heartbeat.ts";
import { AgentInventory } from "./inventory/agent-inventory.ts";
import { BlobInventory } from "./inventory/blob-inventory.ts";
import { ContentListings } from "./inventory/content-listings.ts";
import { GarbageCollector } from "./inventory/garbage-collector.ts";
import { GitMirrorInventory } from "./inventory/git-mirror-inventory.ts";
import { isLayerUse, LayerUses } from "./inventory/layer-uses.ts";
import { NotingSnapshotter } from "./inventory/noting-snapshotter.ts";
import { ReleasePoll } from "./inventory/release-poll.ts";
import { LayerManager } from "./layers/layer-manager.ts";
import { MeteredOriginReader } from "./layers/metered-origin-reader.ts";
import { CacheMountCopier } from "./ops/cache-mount-copier.ts";
import { ChecksumRunner } from "./ops/checksum-op.ts";
import { DiffOp } from "./ops/diff-op.ts";
import { CacheMountStore, copyTree, MountArea, stepLogLimits } from "./ops/exec/index.ts";
import { ExecOpRunner } from "./ops/exec-op.ts";
import { ExportArchiveOp } from "./ops/export-archive-op.ts";
import { ExportContentOp } from "./ops/export-content-op.ts";
import { ExportFilesRunner } from "./ops/export-files.ts";
import { FileOpRunner } from "./ops/file-op.ts";
import { ListFilesRunner } from "./ops/list-files-op.ts";
import { LocalSourceFetcher } from "./ops/local-source.ts";
import { MaterializeOp } from "./ops/materialize-op.ts";
import { PackOp } from "./ops/pack-op.ts";
import { PushOp } from "./ops/push-op.ts";
import { ReadRunner } from "./ops/read-op.ts";
import { SourceFetchOp } from "./ops/source-fetch-op.ts";
import { SourceHandlers } from "./ops/source-handlers.ts";
import { SourceResolveOp } from "./ops/source-resolve-op.ts";
import { SpanTaskTracer } from "./span-task-tracer.ts";
import { TaskServer } from "./task-server.ts";
import type { TaskTracer } from "./task-tracer.ts";

export interface AgentOptions {
  readonly config: WorkerConfig;
  /** Stays the caller's. */
  readonly bus: MessageBus;
  readonly tokens: TransferTokens;
  /** Where the blob server listens, and the host others are told. */
  readonly blobListen: { readonly host: string; readonly port: number; readonly advertise?: string };
  /** Between agents; default plain. */
  readonly tls?: MutualTls;
  /** Sessions of a task's builds. */
  readonly sessions: (task: Task) => SessionGroup;
  /** Channels of a task to its coordinator. */
  readonly channels: (task: Task) => TaskChannels;
  readonly logger: Logger;
  readonly clock?: Clock;
  readonly tracer?: TaskTracer;
}

/** One worker host: its stores, its runners, and their connection to the fleet. Dispose ends running tasks and releases all. */
export class Agent implements AsyncDisposable {
  readonly id: string;
  readonly blobUrl: string;
  readonly #tasks: TaskServer;
  readonly #departure: Departure;
  readonly #owned: AsyncDisposableStack;

  private constructor(
    id: string,
    blobUrl: string,
    tasks: TaskServer,
    departure: Departure,
    owned: AsyncDisposableStack,
  ) {
    this.id = id;
    this.blobUrl = blobUrl;
    this.#tasks = tasks;
    this.#departure = departure;
    this.#owned = owned;
  }

  /** Tasks running now. */
  get running(): number {
    return this.#tasks.running.length;
  }

  /** Takes no new task; resolves when what runs has ended and others have the layers that only it had, or time is up. */
  async drain(limitMs: number): Promise<void> {
    await this.#departure.prepare(limitMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }

  static async start(options: AgentOptions): Promise<Agent> {
    await using owned = new AsyncDisposableStack();
    const { config, bus, tokens, tls } = options;
    const clock = options.clock ?? systemClock;
    const { root } = config;
    await mkdir(root, { recursive: true, mode: 0o711 });
    const id = await agentId(root, options.logger);
    const logger = options.logger.child({ agent: id });

    const spawner = owned.use(new ProcessSpawner());
    const area = new MountArea(join(root, "mounts"));
    const emulators = owned.use(await Emulators.open({ directory: join(root, "emulation"), logger }));
    const devices = new CdiRegistry({ directories: config.cdi.specDirs, autoAllowed: config.cdi.autoAllowed, logger });
    await devices.refresh();
    const runtime = findRuntime(config.ociBinary === "auto" ? {} : { configured: config.ociBinary });
    const executor = owned.use(
      new OciExecutor({
        runtime,
        root: join(root, "executor"),
        spawner,
        sandboxNetwork: config.networkMode,
        dns: config.dns,
        logger,
        ...(config.cgroupParent === "" ? {} : { cgroupParent: config.cgroupParent }),
      }),
    );
    // What an earlier process left, before the layers are opened: containers use the mounts, the mounts use the layers.
    await executor.reap();
    area.reap();

    const database = owned.use(new SqliteKeyValueStore(join(root, "agent.db"), logger));
    const state = new CheckedKeyValueStore(database, bucketChecks, logger);
    const packs = await state.open("packs");
    const layerRecords = await state.open("layers");
    const validators = await state.open("http");
    const uses = owned.use(await LayerUses.open(await state.open("uses")));
    const workers = owned.use(new LayerWorkers());
    const stored = owned.use(
      await openSnapshotter(join(root, "snapshots"), config.snapshotter, { workers, clock, logger }),
    );
    let collector: GarbageCollector | undefined;
    const onStored = (bytes: number) => collector?.stored(bytes);
    const snapshotter = new NotingSnapshotter(new TracingSnapshotter(stored), uses, onStored);
    const content = await LocalContentStore.open(join(root, "content"), { onStored });
    const packer = new LayerPacker({ workers, store: content });
    const mountsGone = (agentId: string, entryIds: readonly string[]) =>
      bus.publish(subjects.cacheMountsDropped, encode({ agentId, entryIds } satisfies CacheMountsDropped));
    const cacheMounts = await CacheMountStore.open({
      directory: join(root, "cache-mounts"),
      clock,
      onGone: (entryId) => mountsGone(id, [entryId]),
      onSized: (sized) =>
        bus.publish(subjects.cacheMountSized, encode({ agentId: id, ...sized } satisfies CacheMountSized)),
    });
    const hosts = owned.use(new RegistryHosts(config.registries));
    const registry = new RegistryClient({ hosts, logger });
    const monotonic = () => performance.now();
    const received = new TransferMeter(monotonic);
    const fromOrigins = new TransferMeter(monotonic);
    let sentBytes = 0;
    const transport = new MeteredBlobTransport(owned.use(new HttpBlobTransport(tokens, tls)), received);
    const copier = owned.use(
      new CacheMountCopier({ transport, onMissing: ({ agentId, entryId }) => mountsGone(agentId, [entryId]) }),
    );
    // Agents with the same label `zone` are preferred as sources.
    const zone = config.labels["zone"] === undefined ? {} : { zone: config.labels["zone"] };
    let blobUrl: string | undefined;
    const swarm = owned.use(
      await BlobSwarm.open({ directory: join(root, "receiving"), transport, url: () => blobUrl, logger, ...zone }),
    );
    const hasher = owned.use(new ContentHasher({ snapshotter }));
    const listings = owned.use(await ContentListings.open({ directory: join(root, "content-listings"), logger }));
    const http = owned.adopt(new HttpAgent(), (agent) => agent.destroy());

    const coordinators = owned.use(new LiveCoordinators(bus));
    const mirrorDirectory = join(root, "git");
    const inventory = new AgentInventory({
      agentId: id,
      root,
      snapshotter,
      blobs: new BlobInventory({ snapshotter, content, layers: layerRecords, packs }),
      cacheMounts,
      gitMirrors: new GitMirrorInventory(mirrorDirectory),
      uses,
      layers: layerRecords,
      poll: new ReleasePoll({ agentId: id, bus, clock, coordinators }),
      tasksInHand: () => tasks.inHand,
      forgetGone: async () => {
        await local.forgetGone();
        await httpSource.forgetGone();
      },
      logger,
      onDropped: (dropped) => bus.publish(subjects.layersDropped, encode({ agentId: id, ...dropped })),
    });
    owned.use(
      bus.subscribe(subjects.layersUsed, ({ data }) => {
        inventory.used(decode<LayerId[]>(data));
        collector?.letGo();
      }),
    );
    const gcPolicy = config.gcEnabled ? config.gcRules.map(pruneOptions) : [];
    await inventory.recover();
    if (config.gcEnabled) {
      collector = owned.use(new GarbageCollector({ inventory, rules: gcPolicy, root, clock: steadyClock, logger }));
    }
    const layers = new LayerManager({
      agentId: id,
      snapshotter,
      content,
      codec: packer,
      transport: new TracingBlobTransport(transport),
      swarm,
      origins: new MeteredOriginReader(new RemoteOriginReader({ registry }), fromOrigins),
      packs,
      onStored: (info) => inventory.note(info),
      onMissing: (holder, layer) =>
        bus.publish(subjects.layersDropped, encode({ agentId: holder, ids: [layer], missing: true })),
      logger,
    });
    const local = owned.use(
      new LocalSourceFetcher({ snapshotter, stateDir: join(root, "local-sources"), logger, hasher }),
    );
    const httpSource = new HttpSource({ snapshotter, content, validators, dispatcher: http });
    const blob = new BlobSource({ registry, snapshotter });
    const handlers = new SourceHandlers({
      git: new GitSource({ snapshotter, runner: spawner, mirrorDirectory, blobs: blob }),
      http: httpSource,
      blob,
      local,
    });
    const reader = owned.use(new ReadRunner());
    const tracingExecutor = new TracingExecutor(executor);
    const runners: OpRunners = {
      exec: new ExecOpRunner({
        executor: tracingExecutor,
        spawner,
        area,
        emulators,
        devices,
        cacheMounts,
        copier,
        logLimits: stepLogLimits(process.env),
      }),
      file: owned.use(new FileOpRunner()),
      checksum: new ChecksumRunner({ hasher, listings, agentId: id }),
      container: new ContainerRunner({
        executor: tracingExecutor,
        area,
        emulators,
        cacheMounts,
        copier,
        copyTree: copyTree(spawner),
        reader,
        channels: options.channels,
      }),
      read: reader,
      "export.files": owned.use(new ExportFilesRunner()),
      "export.archive": new ExportArchiveOp(),
      "export.content": new ExportContentOp(),
      "list.files": owned.use(new ListFilesRunner()),
      pack: new PackOp(),
      push: new PushOp({ registry: new SiblingMounts(registry) }),
      materialize: new MaterializeOp({ cacheMounts, copier }),
      diff: new DiffOp(snapshotter, (lower, upper, target, signal) => packer.compare(lower, upper, target, signal)),
      "source.fetch": new SourceFetchOp({ handlers }),
      "source.resolve": new SourceResolveOp({ handlers }),
    };

    const blobServer = owned.use(
      new BlobServer({
        content,
        tokens,
        logger,
        packLayer: (layer, signal) => layers.packForPeer(layer, signal),
        readCacheMount: (entryId, signal) => lendCacheMount(cacheMounts, copier, entryId, signal),
        swarm: new SwarmServer({ content, received: (digest) => swarm.received(digest), ...zone }),
        ...(tls === undefined ? {} : { tls }),
        onSent: (bytes) => {
          sentBytes += bytes;
        },
      }),
    );
    const port = await blobServer.listen(options.blobListen.host, options.blobListen.port);
    const authority = options.blobListen.advertise ?? dialAddress(options.blobListen.host, port);
    blobUrl = `${tls === undefined ? "http" : "https"}://${authority}`;
    const tasks: TaskServer = owned.use(
      new TaskServer({
        agentId: id,
        root,
        bus,
        clock,
        logger,
        layers,
        runners,
        capacity: config.capacity,
        onRoom: () => heartbeat.beat(),
        ...(config.maxParallelism === 0 ? {} : { maxParallelism: config.maxParallelism }),
        sessions: (task) => TracingSessionGroup.of(options.sessions(task)),
        tracer: options.tracer ?? new SpanTaskTracer(id),
        ...(collector === undefined ? {} : { collector }),
      }),
    );
    // What is left from before counts as well.
    collector?.taskEnded();
    owned.use(new ControlServer({ bus, agentId: id, inventory, listings, logger }));
    owned.use(
      bus.subscribe(subjects.cacheMountsForgotten, ({ data }) => cacheMounts.prune(decode<CacheMountsForgotten>(data))),
    );
    const configured = config.platforms.map((text) => parsePlatform(text));
    const epoch = randomUUID();
    const record = (): AgentRecord => ({
      id,
      epoch,
      labels: {
        "org.mobyproject.buildkit.worker.executor": "oci",
        "org.mobyproject.buildkit.worker.snapshotter": snapshotter.name,
        "org.mobyproject.buildkit.worker.hostname": hostname(),
        "org.mobyproject.buildkit.worker.network": config.networkMode === "auto" ? "host" : config.networkMode,
        "org.mobyproject.buildkit.worker.oci.process-mode": "sandbox",
        ...config.labels,
      },
      platforms: configured.length === 0 ? emulators.platforms : configured,
      devices: devices.devices,
      gcPolicy,
      capacity: config.capacity,
      occupied: tasks.occupied,
      blobUrl,
      draining: tasks.draining,
      running: tasks.running,
      steps: tasks.steps,
      version,
      transfers: {
        ...{ receivedBytes: received.totalBytes, sentBytes, originBytes: fromOrigins.totalBytes },
        ...(received.bytesPerSecond === undefined ? {} : { bytesPerSecond: received.bytesPerSecond }),
      },
    });
    const heartbeat: Heartbeat = owned.use(
      new Heartbeat(bus, record, () => {
        tasks.checkCoordinators();
        void devices.refresh().then((changed) => changed && heartbeat.beat());
      }),
    );
    const departure = new Departure({
      tasks,
      heartbeat,
      handover: new HandoverRequests({ agentId: id, bus, clock, coordinators, logger }),
      hasLayers: () => [...snapshotter.list()].length > 0,
      clock,
      logger,
    });
    logger.info("agent started", {
      root,
      snapshotter: snapshotter.name,
      runtime: runtime.name,
      slots: config.capacity.slots,
      blobUrl,
    });
    return new Agent(id, blobUrl, tasks, departure, owned.move());
  }
}

/** What the buckets of an agent hold. */
const bucketChecks = {
  packs: (value: Uint8Array) => isDescriptor(decode(value)),
  layers: (value: Uint8Array) => isLayerInfo(decode(value)),
  uses: (value: Uint8Array) => isLayerUse(decode(value)),
  http: isValidators,
};

function pruneOptions(rule: GcRule): PruneOptions {
  return {
    filter: rule.filters,
    all: rule.all,
    keepDurationMs: rule.keepDurationMs,
    reservedSpace: rule.reservedSpaceBytes,
    maxUsedSpace: rule.maxUsedSpaceBytes,
    minFreeSpace: rule.minFreeSpaceBytes,
  };
}

async function lendCacheMount(
  store: CacheMountStore,
  copier: CacheMountCopier,
  entryId: string,
  signal: AbortSignal,
): Promise<CacheMountStream & Disposable> {
  const lent = await store.read(entryId, signal);
  const bytes = copier.send(lent.directory, lent.signal);
  return { version: lent.version, bytes, [Symbol.dispose]: () => lent[Symbol.dispose]() };
}
