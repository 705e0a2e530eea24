import { chmod, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import type { ContentHasher } from "../../contenthash/index.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code, codeName } from "../../core/errors/code.ts";
import type { Logger } from "../../core/seams/logger.ts";
import type { RunContext } from "../../core/seams/op-runner.ts";
import type { SessionCaller } from "../../core/seams/session-caller.ts";
import type { Snapshotter } from "../../core/seams/snapshotter.ts";
import { sha256 } from "../../core/values/digest.ts";
import type { LayerId } from "../../core/values/layer.ts";
import type { OutputsResult, ResolvedSource } from "../../core/values/task.ts";
import { encodeCallMetadata, FileReceiver, type Received } from "../../filesync/index.ts";
import { type LocalAttributes, parseLocalAttributes } from "./local-attributes.ts";
import { LocalIndex, type LocalRecord } from "./local-index.ts";
import { transferProgress } from "./transfer-progress.ts";

const diffCopyMethod = "/moby.filesync.v1.FileSync/DiffCopy";
const sessionWaitMs = 5000;

export interface LocalSourceFetcherOptions {
  readonly snapshotter: Snapshotter;
  /** Directory for what has to survive a restart; made when first needed. */
  readonly stateDir: string;
  readonly logger: Logger;
  /** Gets the digests of what was received, so that it need not be read again to be hashed. */
  readonly hasher?: Pick<ContentHasher, "seed">;
  /** Threads that write what arrives; default 2. */
  readonly threads?: number;
  /** Entry file of the threads, where it is not beside the sources. */
  readonly workerEntry?: URL;
}

/**
 * Brings a directory of a client into a layer (`local://`). A second transfer of the same directory sends only what changed
 * and links the rest from the earlier layer; if nothing changed it answers with that layer. Safe for concurrent use; dispose
 * stops the threads.
 */
export class LocalSourceFetcher implements AsyncDisposable {
  readonly #snapshotter: Snapshotter;
  readonly #index: LocalIndex;
  readonly #logger: Logger;
  readonly #hasher: Pick<ContentHasher, "seed"> | undefined;
  readonly #receiver: FileReceiver;

  constructor(options: LocalSourceFetcherOptions) {
    this.#snapshotter = options.snapshotter;
    this.#index = new LocalIndex(join(options.stateDir, "local-sources"));
    this.#logger = options.logger;
    this.#hasher = options.hasher;
    this.#receiver = new FileReceiver({
      ...(options.threads === undefined ? {} : { threads: options.threads }),
      ...(options.workerEntry === undefined ? {} : { workerEntry: options.workerEntry }),
    });
  }

  /** The key holds for one session only: content is what identifies a local source (map d16). */
  async resolve(
    source: { readonly identifier: string; readonly attrs: Readonly<Record<string, string>> },
    context: Pick<RunContext, "sessions">,
  ): Promise<ResolvedSource> {
    const local = parseLocalAttributes(source.identifier, source.attrs);
    const sessionId = local.sessionId || context.sessions.ids[0];
    if (sessionId === undefined) throw new BuildError(Code.Unknown, "could not access local files without session");
    const pin = sha256(
      JSON.stringify({
        SessionID: sessionId,
        IncludePatterns: local.includePatterns ?? null,
        ExcludePatterns: local.excludePatterns ?? null,
        FollowPaths: local.followPaths ?? null,
        ...(local.metadataOnly ? { MetadataTransfer: true } : {}),
        ...(local.metadataExceptions?.length ? { MetadataExceptions: local.metadataExceptions } : {}),
      }),
    );
    return { cacheKey: `session:${local.name}:${pin}`, pin, details: {} };
  }

  async fetch(
    source: { readonly identifier: string; readonly attrs: Readonly<Record<string, string>> },
    _resolved: ResolvedSource | undefined,
    context: RunContext,
  ): Promise<OutputsResult> {
    const local = parseLocalAttributes(source.identifier, source.attrs);
    const named = local.sessionId === "" ? undefined : await namedSession(local.sessionId, context);
    try {
      if (named !== undefined) return await this.#transfer(local, named, context);
      return await context.sessions.any((caller) => this.#transfer(local, caller, context), {
        signal: context.signal,
      });
    } catch (error) {
      context.signal.throwIfAborted();
      throw BuildError.from(error);
    }
  }

  /** Forgets transfers whose layer is not here any more; call while none runs. */
  async forgetGone(): Promise<void> {
    await this.#index.forgetGone((layer) => this.#snapshotter.has(layer));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#receiver[Symbol.asyncDispose]();
  }

  async #transfer(local: LocalAttributes, caller: SessionCaller, context: RunContext): Promise<OutputsResult> {
    const key = `${local.name}:${local.sharedKeyHint}:${caller.sharedKey}${local.metadataOnly ? ":metadata" : ""}`;
    const previous = await this.#previous(key, context);
    const treeFile = await this.#index.newTreeFile(key);
    await using ingest = await this.#snapshotter.ingest(context.signal);
    await chmod(ingest.path, 0o755);
    const progress = transferProgress(context.progress, `transferring ${local.name}:`);
    let received: Received;
    try {
      received = await this.#receive(local, caller, context, progress.update, {
        directory: ingest.path,
        indexFile: treeFile,
        ...(previous === undefined
          ? {}
          : {
              previous: {
                directory: this.#snapshotter.layerPath(previous.layer),
                indexFile: previous.treeFile,
              },
            }),
      });
    } catch (error) {
      await rm(treeFile, { force: true });
      throw error;
    } finally {
      progress.end();
    }
    const description = `local source for ${local.name}`;
    if (!received.changed && previous !== undefined) {
      await this.#hasher?.seed(previous.layer, received.digests);
      const known = context.layers.info(previous.layer);
      const info = known ?? context.layers.born(previous.layer, previous.sizeBytes, description, "source.local");
      return { outputs: [{ layers: [previous.layer] }], layers: [info] };
    }
    const id = context.layers.newId();
    const { sizeBytes } = await ingest.commit(id);
    await this.#hasher?.seed(id, received.digests);
    await this.#remember(key, { layer: id, sizeBytes, treeFile });
    return {
      outputs: [{ layers: [id] }],
      layers: [context.layers.born(id, sizeBytes, description, "source.local")],
    };
  }

  async #receive(
    local: LocalAttributes,
    caller: SessionCaller,
    context: RunContext,
    onProgress: (bytes: number) => void,
    place: {
      readonly directory: string;
      readonly indexFile: string;
      readonly previous?: { readonly directory: string; readonly indexFile: string };
    },
  ): Promise<Received> {
    if (!caller.supports(diffCopyMethod)) throw new BuildError(Code.Unknown, "no local sources enabled");
    await using stream = caller.open(diffCopyMethod, { metadata: callMetadata(local), signal: context.signal });
    try {
      const received = await this.#receiver.receive(stream, {
        ...place,
        differ: local.differ,
        ...(local.metadataOnly ? { metadataOnly: { exceptions: local.metadataExceptions ?? [] } } : {}),
        onProgress,
        signal: context.signal,
      });
      stream.closeSend();
      return received;
    } catch (error) {
      throw remoteError(error);
    }
  }

  /** The earlier transfer, if its layer is still here; it stays pinned until the task ends. */
  async #previous(key: string, context: RunContext): Promise<LocalRecord | undefined> {
    const record = await this.#index.get(key);
    if (record === undefined || !this.#snapshotter.has(record.layer as LayerId)) return undefined;
    try {
      await context.layers.ensure({ layers: [record.layer] }, context.signal);
      return record;
    } catch (error) {
      context.signal.throwIfAborted();
      this.#logger.debug("Earlier local layer is gone", { layer: record.layer, error });
      return undefined;
    }
  }

  /** A record that cannot be kept costs a full transfer next time, not this build. */
  async #remember(key: string, record: LocalRecord): Promise<void> {
    try {
      await this.#index.put(key, record);
    } catch (error) {
      this.#logger.warn("Cannot remember local transfer", { error });
    }
  }
}

/** @returns undefined when the session is not there; then any session of the build will do */
async function namedSession(id: string, context: RunContext): Promise<SessionCaller | undefined> {
  const abort = new AbortController();
  const signal = AbortSignal.any([context.signal, abort.signal]);
  const found = context.sessions.get(id, { signal });
  try {
    return await Promise.race([found, setTimeout(sessionWaitMs, undefined, { signal })]);
  } catch {
    context.signal.throwIfAborted();
    return undefined;
  } finally {
    abort.abort();
    found.catch(() => {});
  }
}

function callMetadata(local: LocalAttributes): Readonly<Record<string, readonly string[]>> {
  const options: Record<string, readonly string[]> = { "dir-name": [local.name] };
  if (local.includePatterns !== undefined) options["include-patterns"] = local.includePatterns;
  if (local.excludePatterns !== undefined) options["exclude-patterns"] = local.excludePatterns;
  if (local.followPaths !== undefined) options["followpaths"] = local.followPaths;
  return encodeCallMetadata(options);
}

/** What the client answered reads as grpc-go prints it. */
function remoteError(error: unknown): unknown {
  if (!(error instanceof BuildError)) return error;
  return new BuildError(error.code, `rpc error: code = ${codeName(error.code)} desc = ${error.message}`, {
    cause: error,
    details: error.details,
    infrastructure: error.infrastructure,
  });
}
