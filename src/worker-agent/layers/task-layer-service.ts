import type { LayerService } from "../../core/seams/op-runner.ts";
import type { ActiveSnapshot, MountedView } from "../../core/seams/snapshotter.ts";
import type { Descriptor } from "../../core/values/descriptor.ts";
import type { Digest } from "../../core/values/digest.ts";
import type { LayerId, LayerInfo, Ref } from "../../core/values/layer.ts";
import { randomId } from "../../core/values/random-id.ts";
import type { Compression, LayerBlob } from "../../core/values/task.ts";
import { diffIdAnnotation, type LayerManager, type LayerSources } from "./layer-manager.ts";

/** The layers one task may use: the agent's manager plus what the task's envelope says of where they are. */
export class TaskLayerService implements LayerService {
  readonly #manager: LayerManager;
  readonly #sources: LayerSources;
  readonly #agentId: string;
  readonly #fetched = new Set<LayerId>();
  readonly #made = new Set<LayerId>();
  /** What layers made here stand on. */
  readonly #parents = new Map<LayerId, LayerId>();

  constructor(manager: LayerManager, sources: LayerSources, agentId: string) {
    this.#manager = manager;
    this.#sources = sources;
    this.#agentId = agentId;
  }

  /** Layers this task brought here, as files or as a blob; the coordinator learns a new holder. */
  get fetched(): readonly LayerId[] {
    return [...this.#fetched];
  }

  /** Ids of layers this task made or is making. */
  get made(): Iterable<LayerId> {
    return this.#made;
  }

  async view(ref: Ref, signal: AbortSignal): Promise<MountedView> {
    await this.ensure(ref, signal);
    return this.#manager.snapshotter.view(ref, signal);
  }

  async prepare(ref: Ref, signal: AbortSignal): Promise<ActiveSnapshot> {
    await this.ensure(ref, signal);
    const active = await this.#manager.snapshotter.prepare(ref, signal);
    return {
      ...{ path: active.path, [Symbol.asyncDispose]: () => active[Symbol.asyncDispose]() },
      commit: (id) => {
        const parent = ref.layers.at(-1);
        if (parent !== undefined) this.#parents.set(id, parent);
        return active.commit(id);
      },
    };
  }

  async ensure(ref: Ref, signal: AbortSignal): Promise<void> {
    for (const id of await this.#manager.ensure(ref.layers, this.#sources, signal)) this.#fetched.add(id);
  }

  newId(): LayerId {
    const id = randomId() as LayerId;
    this.#made.add(id);
    return id;
  }

  born(id: LayerId, sizeBytes: number, description: string, recordType = "regular"): LayerInfo {
    const parent = this.#parents.get(id);
    const info: LayerInfo = {
      id,
      ...(parent === undefined ? {} : { parent }),
      blobs: [],
      origins: [],
      holders: [this.#agentId],
      sizeBytes,
      createdAt: Date.now(),
      description,
      recordType,
    };
    // Only `du` needs it; a record that cannot be written shows there without its description.
    this.#manager.noteBorn(info).catch(() => {});
    return info;
  }

  info(id: LayerId): LayerInfo | undefined {
    return this.#sources.infos.get(id);
  }

  async pack(
    id: LayerId,
    compression: Compression,
    signal: AbortSignal,
  ): Promise<{ readonly info: LayerInfo; readonly descriptor: Descriptor }> {
    const descriptor = await this.#manager.pack(id, compression, this.#sources, signal);
    // The blob is here now, whether the layer was before or not: others must know where to get it.
    this.#fetched.add(id);
    const known = this.#sources.infos.get(id) ?? this.born(id, 0, "");
    if (compression.rewriteTimestamp !== undefined) return { info: known, descriptor };
    const diffId = descriptor.annotations?.[diffIdAnnotation] as Digest | undefined;
    const blobs = known.blobs.some((blob) => blob.digest === descriptor.digest)
      ? known.blobs
      : [...known.blobs, descriptor];
    return { info: { ...known, blobs, ...(diffId === undefined ? {} : { diffId }) }, descriptor };
  }

  openBlob({ layer, descriptor, compression }: LayerBlob, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const { digest, size } = descriptor;
    const blob = { digest, size, ...(layer && { layer }), ...(compression && { compression }) };
    return this.#manager.openBlob(blob, this.#sources, signal, (id) => this.#fetched.add(id));
  }
}
