import {
  LocalCacheExporter,
  LocalCacheImporter,
  RegistryCacheExporter,
  RegistryCacheImporter,
} from "../../cache/index.ts";
import type { Exporter } from "../../core/seams/exporter.ts";
import type { CacheExporter, CacheImporter } from "../../core/seams/remote-cache.ts";
import {
  familiarName,
  formatNamedReference,
  parseNamedReference,
  withDefaultTag,
} from "../../core/values/image-reference.ts";
import { ArchiveExporter, FilesExporter, ImageExporter, TracingExporter } from "../../exporters/index.ts";
import type { RegistryClient } from "../../registry/index.ts";
import { RegistryPusher } from "./registry-pusher.ts";

/** By type. */
export function exportersOf(registry: RegistryClient): ReadonlyMap<string, Exporter> {
  const names = {
    canonical: (name: string) => formatNamedReference(withDefaultTag(parseNamedReference(name))),
    familiar: (name: string) => familiarName(parseNamedReference(name)),
  };
  const exporters = [
    new ImageExporter(new RegistryPusher(registry)),
    new ArchiveExporter("oci", names),
    new ArchiveExporter("docker", names),
    new FilesExporter("local"),
    new FilesExporter("tar"),
  ];
  return new Map(exporters.map((exporter) => [exporter.type, new TracingExporter(exporter)]));
}

export function cacheExportersOf(registry: RegistryClient): ReadonlyMap<string, CacheExporter> {
  const exporters = [new LocalCacheExporter(), new RegistryCacheExporter(registry)];
  return new Map(exporters.map((exporter) => [exporter.type, exporter]));
}

export function cacheImportersOf(registry: RegistryClient): ReadonlyMap<string, CacheImporter> {
  const importers = [new LocalCacheImporter(), new RegistryCacheImporter(registry)];
  return new Map(importers.map((importer) => [importer.type, importer]));
}
