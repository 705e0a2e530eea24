import type { Descriptor } from "../../core/values/descriptor.ts";
import { compressionOf } from "../../core/values/estargz-annotations.ts";
import type { LayerInfo } from "../../core/values/layer.ts";
import type { Compression } from "../../core/values/task.ts";
import { diffIdAnnotation } from "./layer-annotations.ts";

/** A blob of a layer that will do as it is: one of the wanted compression, or without force the one it was pulled as. */
export function existingBlob(
  info: LayerInfo,
  { type, level, force }: Pick<Compression, "type" | "level" | "force">,
): Descriptor | undefined {
  const origin = info.origins[0]?.descriptor;
  if (!force && origin !== undefined) return withDiffId(origin, info);
  if (level !== undefined) return undefined;
  const blob = info.blobs.find((candidate) => compressionOf(candidate) === type);
  return blob === undefined ? undefined : withDiffId(blob, info);
}

/** How the blob of a layer was cut; nothing for one that the layer came as. */
export function cutAs(
  { origins }: LayerInfo,
  { digest }: Descriptor,
  compression: Compression,
): { readonly compression?: Compression } {
  return origins.some(({ descriptor }) => descriptor.digest === digest) ? {} : { compression };
}

function withDiffId(blob: Descriptor, info: LayerInfo): Descriptor | undefined {
  const diffId = blob.annotations?.[diffIdAnnotation] ?? info.diffId;
  if (diffId === undefined) return undefined;
  return { ...blob, annotations: { ...blob.annotations, [diffIdAnnotation]: diffId } };
}
