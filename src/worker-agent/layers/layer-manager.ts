import pLimit, { type LimitFunction } from "p-limit";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { LayerLostError } from "../../core/errors/layer-lost-error.ts";
import type { BlobTransport } from "../../core/seams/blob-transport.ts";
import type { FileContentStore } from "../../core/seams/content-store.ts";
import type { KeyValue } from "../../core/seams/key-value.ts";
import type { Logger } from "../../core/seams/logger.ts";
import type { ProgressWriter } from "../../core/seams/progress.ts";
import type { SessionGroup } from "../../core/seams/session-caller.ts";
import type { Snapshotter } from "../../core/seams/snapshotter.ts";
import type { Descriptor } from "../../core/values/descriptor.ts";
import type { Digest } from "../../core/values/digest.ts";
import { compressionOf } from "../../core/values/estargz-annotations.ts";
import type { LayerId, LayerInfo } from "../../core/values/layer.ts";
import type { Compression } from "../../core/values/task.ts";
import { RegistryError } from "../../registry/index.ts";
import { inSpan } from "../../telemetry/index.ts";
import type { BlobSwarm } from "../../transfer/index.ts";
import { FlightControl } from "../../util/flight-control.ts";
import { LruMap } from "../../util/lru-map.ts";
import { decode, encode } from "../../util/msgpack.ts";
import type { LayerCodec } from "./layer-codec.ts";
import type { OriginReader } from "./origin-reader.ts";
import { PeerReader } from "./peer-reader.ts";
import { type BlobSource, type ExpectedBlob, resumingRead } from "./resuming-read.ts";
import { teeToStore } from "./tee-to-store.ts";

export interface LayerManagerOptions {
  readonly agentId: string;
  readonly snapshotter: Snapshotter;
  readonly content: FileContentStore;
  readonly codec: LayerCodec;
  readonly transport: BlobTransport;
  /** Brings large blobs from many agents at once; default: each blob from one agent. */
  readonly swarm?: Pick<BlobSwarm, "takes" | "read" | "disown" | "received">;
  readonly origins: OriginReader;
  /** Remembers which blob each layer was cut into, by layer id. */
  readonly packs: KeyValue;
  /** Called with each layer brought here. */
  readonly onStored: (info: LayerInfo) => Promise<void>;
  /** Called when an agent, perhaps this one, turns out not to have a layer of which it is said to be a holder. */
  readonly onMissing: (holder: string, layer: LayerId) => void;
  readonly logger: Logger;
  /** Layers fetched at the same time; default 8. */
  readonly fetchConcurrency?: number;
}

/** Where the layers of one task can come from. */
export interface LayerSources {
  readonly infos: ReadonlyMap<LayerId, LayerInfo>;
  /** Blob server by agent id. */
  readonly peers: Readonly<Record<string, string>>;
  readonly sessions: SessionGroup;
  readonly progress: ProgressWriter;
}

/** `containerd.io/uncompressed`: the annotation under which a blob's diffId travels. */
export const diffIdAnnotation = "containerd.io/uncompressed";

/** Kind of the archives that agents send to each other, and their media type. */
export const peerPackKind = "exact";
const rememberedArchives = 256;
const exactMediaType = "application/vnd.buildfleet.layer.v1.tar";

/**
 * The layers of one agent: brings them here (from peers, then origins), cuts them into blobs. Work on one layer is shared by
 * all tasks that want it.
 */
export class LayerManager {
  readonly #options: LayerManagerOptions;
  readonly #fetches = new FlightControl<void>();
  readonly #packing = new FlightControl<Descriptor>();
  readonly #limit: LimitFunction;
  readonly #peers: PeerReader;
  /** Exact archives that layers came as, perhaps still here: they need not be cut anew. */
  readonly #received = new LruMap<LayerId, Descriptor>(rememberedArchives);

  constructor(options: LayerManagerOptions) {
    this.#options = options;
    this.#peers = new PeerReader(options);
    this.#limit = pLimit(options.fetchConcurrency ?? 8);
  }

  /** Remembers what a layer born here is. */
  async noteBorn(info: LayerInfo): Promise<void> {
    await this.#options.onStored(info);
  }

  get snapshotter(): Snapshotter {
    return this.#options.snapshotter;
  }

  /**
   * All layers of a stack present afterwards; what is missing is fetched in parallel.
   * @returns the ids that were not here before
   */
  async ensure(stack: readonly LayerId[], sources: LayerSources, signal: AbortSignal): Promise<readonly LayerId[]> {
    const missing = [...new Set(stack)].filter((id) => !this.#options.snapshotter.has(id));
    if (missing.length === 0) return [];
    // One failure ends the others, and nobody is left running when this returns.
    const abort = new AbortController();
    const both = AbortSignal.any([signal, abort.signal]);
    const fetch = (id: LayerId) =>
      this.#fetches
        .do(id, (s) => this.#limit(() => this.#fetch(id, stack, sources, s)), both)
        .catch((error) => {
          abort.abort(error);
          throw error;
        });
    // A span also for who waits for what another task fetches.
    const outcomes = await inSpan("fetch layers", { attributes: { "layer.count": missing.length } }, () =>
      Promise.allSettled(missing.map(fetch)),
    );
    signal.throwIfAborted();
    const failed = outcomes.find((outcome) => outcome.status === "rejected");
    if (failed !== undefined) throw abort.signal.reason ?? failed.reason;
    return missing;
  }

  /**
   * The layer as a blob of the given compression; cut now if that was never done. A layer that came as a blob is converted
   * from it: cut from its files it could come out different. @throws BuildError NotFound
   */
  async pack(id: LayerId, compression: Compression, sources: LayerSources, signal: AbortSignal): Promise<Descriptor> {
    const origin = sources.infos.get(id)?.origins[0]?.descriptor;
    return this.#packOnce(id, compressionKey(compression), signal, async (s) => {
      const { codec, snapshotter } = this.#options;
      if (origin !== undefined) {
        const bytes = this.openBlob({ ...origin, layer: id }, sources, s);
        return codec.repack({ bytes, isEstargz: compressionOf(origin) === "estargz" }, compression, s);
      }
      await this.ensure([id], sources, s);
      return codec.pack(snapshotter.layerPath(id), compression, s);
    });
  }

  /** The layer as an exact archive for another agent, cut now if that was never done. @throws BuildError NotFound */
  async packForPeer(id: LayerId, signal: AbortSignal): Promise<Descriptor> {
    const received = this.#received.peek(id);
    if (received !== undefined && this.#options.swarm?.received(received.digest)?.have.complete) return received;
    return this.#packOnce(id, peerPackKind, signal, async (s) => {
      const directory = this.#options.snapshotter.layerPath(id);
      const { digest, size } = await this.#options.content.write(
        this.#options.codec.archive(directory, "exact", s),
        {},
        s,
      );
      return { mediaType: exactMediaType, digest, size };
    });
  }

  /**
   * Bytes of a blob from the store here, else from holders and origins, else cut again. Verified as `resumingRead` says.
   * @param onPacked told when the layer was brought here to be cut
   */
  openBlob(
    blob: WantedBlob,
    sources: LayerSources,
    signal: AbortSignal,
    onPacked: (id: LayerId) => void = () => {},
  ): AsyncIterable<Uint8Array> {
    const info = blob.layer === undefined ? undefined : sources.infos.get(blob.layer);
    const places = [this.#localSource(blob.digest), ...this.#remoteSources(blob, info, sources)];
    const again: BlobSource = {
      name: "packed again",
      open: (offset, s) => this.#packedAgain(blob, offset, sources, s, onPacked),
    };
    return resumingRead(blob, blob.compression === undefined ? places : [...places, again], signal);
  }

  /** The agent that had cut the blob has left, others have the layer: cut in the same way it gives the same bytes. */
  async *#packedAgain(
    { layer, compression, digest }: WantedBlob,
    offset: number,
    sources: LayerSources,
    signal: AbortSignal,
    onPacked: (id: LayerId) => void,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    if (layer === undefined || compression === undefined) return;
    const blob = await this.pack(layer, compression, sources, signal);
    onPacked(layer);
    if (blob.digest !== digest) {
      const what = `blob ${digest} of layer ${layer} is gone, and the layer packed again is ${blob.digest}`;
      throw new LayerLostError(new BuildError(Code.NotFound, what), [layer]);
    }
    yield* this.#options.content.read(digest, { offset }, signal);
  }

  async #packOnce(
    id: LayerId,
    key: string,
    signal: AbortSignal,
    cut: (signal: AbortSignal) => Promise<Descriptor>,
  ): Promise<Descriptor> {
    const known = await this.#known(id, key);
    if (known !== undefined) return known;
    return this.#packing.do(
      `${id} ${key}`,
      async (s) => {
        const descriptor = await inSpan("pack", { attributes: { "layer.id": id, "pack.form": key } }, async (span) => {
          const blob = await cut(s);
          span.set({ "blob.digest": blob.digest, "blob.size_bytes": blob.size });
          return blob;
        });
        await this.#options.packs.put(packKey(id, key), encode(descriptor));
        return descriptor;
      },
      signal,
    );
  }

  async #known(id: LayerId, key: string): Promise<Descriptor | undefined> {
    const entry = await this.#options.packs.get(packKey(id, key));
    if (entry === undefined) return undefined;
    const descriptor = decode<Descriptor>(entry.value);
    return (await this.#options.content.stat(descriptor.digest)) === undefined ? undefined : descriptor;
  }

  async #fetch(id: LayerId, stack: readonly LayerId[], sources: LayerSources, signal: AbortSignal): Promise<void> {
    if (this.#options.snapshotter.has(id)) return;
    const info = sources.infos.get(id);
    if (info === undefined) {
      // Another one has replaced it since the task was made; the next try names that one.
      const options = { infrastructure: true };
      throw new BuildError(Code.Internal, `task names layer ${id} without saying where it is`, options);
    }
    const lower = async () => {
      const below = stack.slice(0, stack.indexOf(id));
      await this.ensure(below, sources, signal);
      return below.map((layer) => this.#options.snapshotter.layerPath(layer)).reverse();
    };
    let failure: unknown = new BuildError(
      Code.Unavailable,
      `layer ${id} is held by no living agent and has no origin`,
      {
        infrastructure: true,
      },
    );
    // A holder that is told of a corrupt blob cuts the layer anew when it is asked again.
    for (let round = 1, corrupt = true; corrupt && round <= 2; round++) {
      corrupt = false;
      for await (const candidate of this.#candidates(info, sources, signal)) {
        try {
          const { from, blob } = candidate;
          const attributes = { "layer.id": id, "fetch.from": from, "blob.size_bytes": blob.size };
          await inSpan("fetch layer", { attributes }, () => this.#unpack(id, info, candidate, lower, sources, signal));
          return;
        } catch (error) {
          signal.throwIfAborted();
          this.#options.logger.warn("cannot fetch layer", { layer: id, from: candidate.from, error: String(error) });
          if (error instanceof BuildError && (error.code === Code.DataLoss || error.code === Code.InvalidArgument)) {
            corrupt = true;
            // Unpacking may stumble over damaged bytes before their digest is known.
            if (error.code === Code.InvalidArgument) await disown(candidate, signal);
          }
          failure = error;
        }
      }
    }
    throw isLost(failure) ? new LayerLostError(failure, [id]) : failure;
  }

  /** Blobs to try in order: one already here, then what holders offer, then origins. Found lazily: a peer may have to cut it. */
  async *#candidates(info: LayerInfo, sources: LayerSources, signal: AbortSignal): AsyncGenerator<Candidate> {
    for (const blob of info.blobs) {
      if ((await this.#options.content.stat(blob.digest)) !== undefined) {
        yield { blob, from: "content store", sources: [this.#localSource(blob.digest)], keep: false };
      }
    }
    const { agentId } = this.#options;
    if (info.holders.includes(agentId)) this.#reportMissing(agentId, info);
    const turns = shuffled(info.holders).map((holder) => ({ holder, patient: false }));
    for (const { holder, patient } of turns) {
      const url = sources.peers[holder];
      if (url === undefined || holder === this.#options.agentId) continue;
      try {
        const blob = await this.#peers.layerBlob(url, info.id, patient, signal);
        const others = info.holders.filter((other) => other !== holder);
        const peers = this.#peerSources([holder, ...others], blob, sources);
        yield { blob, from: `agent ${holder}`, sources: peers, keep: false };
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof BuildError && error.code === Code.NotFound) this.#reportMissing(holder, info);
        else if (!patient) turns.push({ holder, patient: true });
        this.#options.logger.warn("holder does not give layer", { layer: info.id, holder, error: String(error) });
      }
    }
    const byDigest = Map.groupBy(info.origins, (origin) => origin.descriptor.digest);
    for (const origins of byDigest.values()) {
      // Each gets to be the first: of what begins with damaged bytes another cannot make a whole.
      for (const [place, { descriptor: blob }] of origins.entries()) {
        const turned = [...origins.slice(place), ...origins.slice(0, place)];
        yield {
          blob,
          from: "origin",
          sources: turned.map((origin) => this.#originSource(origin, sources)),
          keep: true,
        };
      }
    }
  }

  /** A holder of a layer with an origin may have its blob only. */
  #reportMissing(holder: string, info: LayerInfo): void {
    if (info.origins.length === 0) this.#options.onMissing(holder, info.id);
  }

  async #unpack(
    id: LayerId,
    info: LayerInfo,
    candidate: Candidate,
    lower: () => Promise<readonly string[]>,
    sources: LayerSources,
    signal: AbortSignal,
  ): Promise<void> {
    const { blob } = candidate;
    const statusId = candidate.keep ? blob.digest : `layer ${id} from ${candidate.from}`;
    const startedAt = Date.now();
    let current = 0;
    const counted = async function* (bytes: AsyncIterable<Uint8Array>) {
      let reported = 0;
      for await (const chunk of bytes) {
        current += chunk.length;
        if (current - reported > 1 << 20) {
          reported = current;
          sources.progress.status({ id: statusId, name: "downloading", current, total: blob.size, startedAt });
        }
        yield chunk;
      }
    };
    await using ingest = await this.#options.snapshotter.ingest(signal);
    // An exact archive is not compressed: the thread that unpacks it computes its digest.
    const isExact = blob.mediaType === exactMediaType;
    const bytes = counted(resumingRead(blob, candidate.sources, signal, { verify: !isExact }));
    const stored = candidate.keep ? teeToStore(bytes, this.#options.content, blob, signal) : bytes;
    const diffId = await this.#options.codec.apply(stored, ingest.path, lower, signal);
    // It is no OCI blob either: its digest is not the layer's diffId.
    const expected = isExact ? blob.digest : (info.diffId ?? blob.annotations?.[diffIdAnnotation]);
    if (expected !== undefined && expected !== diffId) {
      if (isExact) await disown(candidate, signal);
      throw new BuildError(
        Code.DataLoss,
        `layer ${id} from ${candidate.from}: unpacked content is ${diffId}, expected ${expected}`,
        { infrastructure: true },
      );
    }
    await ingest.commit(id);
    if (isExact) this.#received.set(id, blob);
    await this.#options.onStored(info);
    sources.progress.status({
      id: statusId,
      name: "done",
      current,
      total: blob.size,
      startedAt,
      completedAt: Date.now(),
    });
  }

  #localSource(digest: Digest): BlobSource {
    return {
      name: "content store",
      open: (offset, signal) => this.#options.content.read(digest, { offset }, signal),
      disown: async () => {
        this.#options.logger.warn("stored blob is corrupt and goes", { digest });
        await this.#options.content.delete(digest);
      },
    };
  }

  #remoteSources(blob: ExpectedBlob, info: LayerInfo | undefined, sources: LayerSources): BlobSource[] {
    const origins = (info?.origins ?? [])
      .filter((origin) => origin.descriptor.digest === blob.digest)
      .map((origin) => this.#originSource(origin, sources));
    const peers = this.#peerSources(shuffled(info?.holders ?? []), blob, sources).map((source) => ({
      ...source,
      open: (offset: number, signal: AbortSignal) => copies(source.open(offset, signal)),
    }));
    return [...peers, ...origins];
  }

  /** Agents that may have the blob. */
  #peerSources(holders: readonly string[], blob: ExpectedBlob, sources: LayerSources): BlobSource[] {
    const { agentId } = this.#options;
    const peers = holders.flatMap((holder) => {
      const url = sources.peers[holder];
      return url === undefined || holder === agentId ? [] : [{ name: `agent ${holder}`, url }];
    });
    return this.#peers.sources(peers, blob);
  }

  #originSource(origin: LayerInfo["origins"][number], sources: LayerSources): BlobSource {
    return {
      name: origin.kind === "registry" ? origin.repository : `session store ${origin.storeId}`,
      open: (offset, signal) => this.#options.origins.open(origin, { sessions: sources.sessions, signal, offset }),
    };
  }
}

/** A blob to read, of a layer perhaps, and how it was cut from that. */
interface WantedBlob extends ExpectedBlob {
  readonly layer?: LayerId;
  readonly compression?: Compression;
}

interface Candidate {
  readonly blob: Descriptor;
  readonly from: string;
  readonly sources: readonly BlobSource[];
  /** Keep the blob in the content store: it comes from outside and an export may want it again. */
  readonly keep: boolean;
}

/** Its bytes were wrong: whoever may have given them looks at what it has. */
async function disown({ sources }: Candidate, signal: AbortSignal): Promise<void> {
  await Promise.allSettled(sources.map((source) => source.disown?.(signal)));
}

/** Key of the record of one blob of a layer. */
export function packKey(id: LayerId, kind: string): string {
  return `${id}/${kind}`;
}

/** Names a kind of blob of one layer. */
function compressionKey(compression: Compression): string {
  const level = compression.level === undefined ? "" : `-${compression.level}`;
  const epoch = compression.rewriteTimestamp === undefined ? "" : `-epoch${compression.rewriteTimestamp}`;
  const types = compression.ociMediaTypes ? "" : "-docker";
  return `${compression.type}${level}${epoch}${types}`;
}

/** The pieces, each the reader's for good. */
async function* copies(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const piece of pieces) yield Buffer.from(piece);
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, order: Math.random() }))
    .sort((a, b) => a.order - b.order)
    .map(({ item }) => item);
}

/** Asked again, in a while or elsewhere, nobody would give anything else. */
function isLost(failure: unknown): failure is BuildError {
  if (!(failure instanceof BuildError)) return false;
  const { code } = failure;
  return (
    code === Code.DataLoss || code === Code.NotFound || (failure instanceof RegistryError && failure.status === 404)
  );
}
