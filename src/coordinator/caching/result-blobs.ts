import type { BlobChain } from "../../cache/index.ts";
import { createdAtAnnotation } from "../../cache/index.ts";
import type { ExportContext } from "../../core/seams/exporter.ts";
import type { Descriptor } from "../../core/values/descriptor.ts";
import { estargzAnnotationsOf } from "../../core/values/estargz-annotations.ts";
import type { LayerId, LayerInfo, Ref } from "../../core/values/layer.ts";
import type { Compression, LayerBlob } from "../../core/values/task.ts";
import { cutAs, diffIdAnnotation, existingBlob } from "../../exporters/index.ts";
import { goTime } from "../../util/go-json.ts";
import { PackQueue } from "./pack-queue.ts";

/** Turns results into blobs for one cache export. Layers without a blob are packed by agents that hold them, each once. */
export class ResultBlobs {
  readonly #compression: Compression;
  readonly #context: ExportContext;
  readonly #queue: PackQueue;
  readonly #packed = new Map<LayerId, Promise<Descriptor>>();

  constructor(compression: Compression, context: ExportContext) {
    this.#compression = compression;
    this.#context = context;
    this.#queue = new PackQueue(compression, context);
  }

  /** @returns undefined with `onlyExisting` when a layer has no blob yet */
  async chain(ref: Ref, onlyExisting: boolean): Promise<BlobChain | undefined> {
    const infos = ref.layers.map((id) => this.#context.layer(id));
    if (onlyExisting && infos.some((info) => !this.#packed.has(info.id) && this.#existing(info) === undefined)) {
      return undefined;
    }
    return Promise.all(
      infos.map(async (info): Promise<LayerBlob> => {
        const blob = this.#existing(info) ?? (await this.#pack(info));
        const descriptor = cacheDescriptor(blob, info);
        return { layer: info.id, descriptor, ...cutAs(info, descriptor, this.#compression) };
      }),
    );
  }

  #existing(info: LayerInfo): Descriptor | undefined {
    return existingBlob(info, this.#compression);
  }

  #pack(info: LayerInfo): Promise<Descriptor> {
    let packed = this.#packed.get(info.id);
    if (packed === undefined) {
      packed = this.#queue.pack(info);
      this.#packed.set(info.id, packed);
    }
    return packed;
  }
}

/** A blob as a cache manifest shows it (map g2). */
export function cacheDescriptor(blob: Descriptor, info: LayerInfo): Descriptor {
  const { mediaType, digest, size, urls } = blob;
  const diffId = blob.annotations?.[diffIdAnnotation] ?? info.diffId;
  return {
    mediaType,
    digest,
    size,
    ...(urls === undefined ? {} : { urls }),
    annotations: {
      ...(info.createdAt === 0 ? {} : { [createdAtAnnotation]: goTime(info.createdAt) }),
      ...(diffId === undefined ? {} : { [diffIdAnnotation]: diffId }),
      ...estargzAnnotationsOf(blob),
    },
  };
}
