import type { ExportSource } from "../../core/seams/exporter.ts";
import { AnnotationSet } from "./annotations.ts";
import type { ImageOptions } from "./image-options.ts";

/** Annotations of the exporter's attributes and of the result's metadata; the result's win. */
export function resultAnnotations(options: ImageOptions, source: ExportSource): AnnotationSet {
  const fromResult = new AnnotationSet();
  const text = new TextDecoder();
  for (const [key, value] of source.metadata) fromResult.add(key, text.decode(value));
  return options.annotations.merged(fromResult);
}
