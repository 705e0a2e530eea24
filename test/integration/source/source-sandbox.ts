import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Agent } from "undici";
import { MemoryKeyValueStore } from "../../../src/bus/memory/memory-key-value.ts";
import { LocalContentStore } from "../../../src/content/index.ts";
import type { ContentStore } from "../../../src/core/seams/content-store.ts";
import type { KeyValue } from "../../../src/core/seams/key-value.ts";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import type { ProgressStatus } from "../../../src/core/seams/progress.ts";
import type { SessionGroup } from "../../../src/core/seams/session-caller.ts";
import type { Snapshotter } from "../../../src/core/seams/snapshotter.ts";
import type { LayerId } from "../../../src/core/values/layer.ts";
import { RegistryClient, RegistryHosts } from "../../../src/registry/index.ts";
import { LayerWorkers, openSnapshotter } from "../../../src/snapshot/index.ts";
import { BlobSource, GitSource, HttpSource, type SourceContext } from "../../../src/source/index.ts";
import { ProcessSpawner } from "../../../src/util/process/index.ts";
import { noSessions } from "../../helpers/no-sessions.ts";

/** The agent's sources over real stores in a temporary directory. */
export interface SourceSandbox extends AsyncDisposable {
  readonly root: string;
  readonly git: GitSource;
  readonly http: HttpSource;
  readonly blob: BlobSource;
  readonly registry: RegistryClient;
  readonly spawner: ProcessSpawner;
  readonly snapshotter: Snapshotter;
  readonly content: ContentStore;
  /** What `http` remembers of answers. */
  readonly validators: KeyValue;
  /** What the sources logged so far, both streams. */
  readonly logs: string[];
  readonly statuses: ProgressStatus[];
  context(sessions?: SessionGroup, signal?: AbortSignal): SourceContext;
}

export async function openSourceSandbox(options: { mirrors?: Record<string, string[]> } = {}): Promise<SourceSandbox> {
  const root = await mkdtemp(join(tmpdir(), "source-"));
  const stack = new AsyncDisposableStack();
  stack.defer(() => rm(root, { recursive: true, force: true }));
  const workers = stack.use(new LayerWorkers());
  const snapshotter = stack.use(await openSnapshotter(join(root, "layers"), "native", { workers }));
  const content = await LocalContentStore.open(join(root, "content"));
  const validators = await new MemoryKeyValueStore().open("http-validators");
  const mirrors = Object.entries(options.mirrors ?? {}).map(([host, list]) => [host, { mirrors: list }]);
  const hosts = stack.use(new RegistryHosts(Object.fromEntries(mirrors)));
  const registry = new RegistryClient({ hosts, logger: silentLogger, backoffMs: 1 });
  const spawner = stack.use(new ProcessSpawner());
  const dispatcher = new Agent();
  stack.defer(() => dispatcher.destroy());
  const logs: string[] = [];
  const statuses: ProgressStatus[] = [];
  let nextId = 0;
  const blob = new BlobSource({ snapshotter, registry });
  return {
    root,
    registry,
    spawner,
    snapshotter,
    content,
    validators,
    logs,
    statuses,
    git: new GitSource({ snapshotter, runner: spawner, mirrorDirectory: join(root, "git"), blobs: blob }),
    http: new HttpSource({ snapshotter, content, validators, dispatcher }),
    blob,
    context: (sessions = noSessions, signal = new AbortController().signal) => ({
      sessions,
      signal,
      logger: silentLogger,
      progress: {
        status: (update) => void statuses.push(update),
        log: (_stream, data) => void logs.push(Buffer.from(data).toString("utf8")),
        warn: () => {},
      },
      layers: {
        newId: () => `layer-${nextId++}` as LayerId,
        born: (id, sizeBytes, description, recordType) => ({
          id,
          blobs: [],
          origins: [],
          holders: [],
          sizeBytes,
          createdAt: 0,
          description,
          ...(recordType === undefined ? {} : { recordType }),
        }),
      },
    }),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
