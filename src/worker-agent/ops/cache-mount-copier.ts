import { createWriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { CacheMountTransport } from "../../core/seams/cache-mount-transport.ts";
import type { ProgressWriter } from "../../core/seams/progress.ts";
import type { CacheMountHolder } from "../../core/values/cache-mount.ts";
import { bytePath, WorkerPool } from "../../filesystem/index.ts";
import { inSpan } from "../../telemetry/index.ts";
import type { CacheMountCopy } from "./exec/index.ts";
import { tarOfTrees } from "./tar-tree.ts";
import { transferProgress } from "./transfer-progress.ts";
import type { UnpackJob } from "./unpack-worker.ts";

export interface CacheMountCopierOptions {
  readonly transport: CacheMountTransport;
  /** An agent no longer has what others take it for having. */
  readonly onMissing: (holder: CacheMountHolder) => void;
}

export interface CopyOptions {
  /** Blob server of each agent. */
  readonly peers: Readonly<Record<string, string>>;
  readonly progress: ProgressWriter;
  readonly signal: AbortSignal;
}

/** Name of the mount in its tar, and in an entry's directory. */
const dataName = "data";

/**
 * Copies cache mounts between agents, as plain tars: between hosts of one network compressing costs more than it saves. Owners,
 * modes, times to the nanosecond, links, devices and attributes come along; holes are filled, sockets become empty files.
 * Dispose stops the threads.
 */
export class CacheMountCopier implements AsyncDisposable {
  readonly #options: CacheMountCopierOptions;
  readonly #packPool = new WorkerPool({ entry: new URL("./tar-tree-worker.ts", import.meta.url) });
  readonly #unpackPool = new WorkerPool({ entry: new URL("./unpack-worker.ts", import.meta.url) });

  constructor(options: CacheMountCopierOptions) {
    this.#options = options;
  }

  /** The mount in the directory of an entry, for another agent. */
  send(directory: string, signal: AbortSignal): AsyncIterable<Uint8Array> {
    return tarOfTrees(this.#packPool, [{ directory, prefix: "", includePatterns: [dataName] }], signal, {
      exact: true,
    });
  }

  /**
   * Brings the first version that can be had into an empty directory. Why one cannot be had is told in the step's log.
   * @returns undefined when none can; then the directory is empty again
   */
  async fetch(
    holders: readonly CacheMountHolder[],
    directory: string,
    options: CopyOptions,
  ): Promise<CacheMountCopy | undefined> {
    for (const holder of holders) {
      try {
        const attributes = { "peer.agent": holder.agentId, "cache-mount.version": holder.version };
        return await inSpan("copy cache mount", { attributes }, async (span) => {
          const copy = await this.#fetch(holder, directory, options);
          span.set({ "transfer.bytes": copy.sizeBytes });
          return copy;
        });
      } catch (error) {
        options.signal.throwIfAborted();
        const failure = BuildError.from(error);
        if (failure.code === Code.NotFound) this.#options.onMissing(holder);
        const note = `[fleet] cannot copy the cache mount of agent ${holder.agentId}: ${failure.message}\n`;
        options.progress.log(2, new TextEncoder().encode(note));
        await rm(join(directory, dataName), { recursive: true, force: true });
      }
    }
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#packPool[Symbol.asyncDispose](), this.#unpackPool[Symbol.asyncDispose]()]);
  }

  async #fetch(
    holder: CacheMountHolder,
    directory: string,
    { peers, progress, signal }: CopyOptions,
  ): Promise<CacheMountCopy> {
    const url = peers[holder.agentId];
    if (url === undefined) throw new BuildError(Code.Unavailable, "it is not in the fleet");
    // Verified as a whole before any of it counts.
    const file = join(directory, "copy.tar");
    const line = transferProgress(progress, `copying cache mount from agent ${holder.agentId}`);
    let sizeBytes = 0;
    try {
      const { version, bytes } = await this.#options.transport.readCacheMount(url, holder.entryId, signal);
      const counted = async function* () {
        for await (const chunk of bytes) {
          sizeBytes += chunk.length;
          line.update(sizeBytes);
          yield chunk;
        }
      };
      await pipeline(counted, createWriteStream(file), { signal });
      const unpack: UnpackJob = { file: bytePath(file), directory: bytePath(directory), owner: undefined };
      await this.#unpackPool.run<void>("unpack", unpack, { signal });
      return { version, sizeBytes };
    } finally {
      line.end();
      await rm(file, { force: true });
    }
  }
}
