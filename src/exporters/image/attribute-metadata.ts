import type { ExportSource } from "../../core/seams/exporter.ts";

/**
 * The result with the exporter attributes that are no options as metadata, in place of its own of the same name: a client that
 * solves plain LLB gives the image config this way (BuildKit exporter/containerimage/export.go, `meta`).
 */
export function withAttributeMetadata(source: ExportSource, attrs: Readonly<Record<string, string>>): ExportSource {
  const metadata = new Map(source.metadata);
  for (const [key, value] of Object.entries(attrs)) metadata.set(key, new TextEncoder().encode(value));
  return { ...source, metadata };
}
