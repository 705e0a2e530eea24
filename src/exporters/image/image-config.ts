import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { Digest } from "../../core/values/digest.ts";
import type { Platform } from "../../core/values/platform.ts";
import { goJson, goTime } from "../../util/go-json.ts";
import { ociPlatform } from "../result-platforms.ts";

/** OCI image config history entry; fields in Go's order. */
export interface HistoryEntry {
  readonly created?: string;
  readonly created_by?: string;
  readonly author?: string;
  readonly comment?: string;
  readonly empty_layer?: boolean;
}

/** What a layer brings into a history that does not mention it. */
export interface LayerHistory {
  readonly diffId: Digest;
  /** Unix milliseconds; undefined when not known. */
  readonly createdAt: number | undefined;
  readonly description: string;
}

interface RawConfig {
  readonly [key: string]: unknown;
}

const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Config for a result that brings none (BuildKit containerimage.defaultImageConfig). */
export function defaultImageConfig(platform: Platform): Uint8Array {
  const { architecture, os, ...more } = ociPlatform(platform);
  const config = {
    architecture,
    os,
    ...more,
    config: { Env: [defaultPath], WorkingDir: "/" },
    rootfs: { type: "layers", diff_ids: null },
  };
  return new TextEncoder().encode(goJson(config));
}

/**
 * The config as exported: rootfs and history match the layers, times are clamped to the epoch, everything else stays as the
 * frontend wrote it; top-level keys sorted (BuildKit exporter/containerimage/writer.go, patchImageConfig).
 * @throws BuildError Unknown, as BuildKit: clients print the bare text
 */
export function patchImageConfig(
  config: Uint8Array,
  baseConfig: Uint8Array | undefined,
  layers: readonly LayerHistory[],
  epochSeconds: number | undefined,
  inlineCache: Uint8Array | undefined,
): Uint8Array {
  const raw = parseConfig(config);
  const base = baseConfig === undefined ? undefined : parseConfig(baseConfig);
  let history = normalizeHistory((raw["history"] as HistoryEntry[] | null | undefined) ?? [], layers);
  if (epochSeconds !== undefined) {
    history = clampHistory(history, (base?.["history"] as HistoryEntry[] | undefined) ?? [], epochSeconds * 1000);
  }
  const patched: Record<string, unknown> = {
    ...raw,
    rootfs: { type: "layers", diff_ids: layers.length === 0 ? undefined : layers.map(({ diffId }) => diffId) },
    history: history.length === 0 ? null : history.map(ordered),
  };
  if (layers.length === 0) patched["rootfs"] = { type: "layers", diff_ids: null };
  const created = raw["created"];
  if (typeof created === "string" && epochSeconds !== undefined && Date.parse(created) > epochSeconds * 1000) {
    patched["created"] = goTime(epochSeconds * 1000);
  }
  if (created === undefined)
    patched["created"] = history.findLast((entry) => entry.created !== undefined)?.created ?? null;
  if (inlineCache !== undefined) patched["moby.buildkit.cache.v0"] = Buffer.from(inlineCache).toString("base64");
  const sorted = Object.fromEntries(Object.entries(patched).sort(([a], [b]) => (a < b ? -1 : 1)));
  return new TextEncoder().encode(goJson(sorted));
}

function parseConfig(bytes: Uint8Array): RawConfig {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new BuildError(Code.Unknown, "invalid image config for export", { cause });
  }
  if (typeof value !== "object" || value === null) {
    throw new BuildError(Code.Unknown, "invalid null image config for export");
  }
  const config = value as RawConfig;
  if (!config["os"]) throw new BuildError(Code.Unknown, "invalid image config for export: missing os");
  if (!config["architecture"]) {
    throw new BuildError(Code.Unknown, "invalid image config for export: missing architecture");
  }
  return config;
}

/** One entry per layer, none without a time (writer.go, normalizeLayersAndHistory). */
function normalizeHistory(given: readonly HistoryEntry[], layers: readonly LayerHistory[]): HistoryEntry[] {
  const history: HistoryEntry[] = [];
  let used = 0;
  for (const entry of given) {
    // More entries than layers cannot be: those from the top of what there is count as empty.
    const layer = entry.empty_layer === true || used >= layers.length ? undefined : layers[used++];
    if (layer === undefined) history.push({ ...entry, empty_layer: true });
    else history.push(withCreated(entry, layer.createdAt));
  }
  for (const layer of layers.slice(used)) {
    history.push(
      withCreated({ created_by: layer.description, comment: "buildkit.exporter.image.v0" }, layer.createdAt),
    );
  }
  return fillTimes(history);
}

/** Entries without a time get the first new layer's, or that of the entry before. */
function fillTimes(history: readonly HistoryEntry[]): HistoryEntry[] {
  let created: string | undefined;
  let missing = false;
  for (const entry of history) {
    if (entry.created === undefined) missing = true;
    else {
      created = entry.created;
      if (missing) break;
    }
  }
  missing = false;
  return history.map((entry) => {
    if (entry.created !== undefined) {
      if (missing) created = entry.created;
      return entry;
    }
    missing = true;
    return created === undefined ? entry : { ...entry, created };
  });
}

function withCreated(entry: HistoryEntry, createdAt: number | undefined): HistoryEntry {
  if (entry.created !== undefined || createdAt === undefined) return entry;
  return { ...entry, created: goTime(createdAt) };
}

/** Times after the epoch become the epoch, except in the unchanged entries of the base image (moby/buildkit#4614). */
function clampHistory(
  history: readonly HistoryEntry[],
  base: readonly HistoryEntry[],
  epochMs: number,
): HistoryEntry[] {
  let inBase = true;
  return history.map((entry, index) => {
    inBase &&= index < base.length && goJson(ordered(entry)) === goJson(ordered(base[index] ?? {}));
    if (inBase || (entry.created !== undefined && Date.parse(entry.created) <= epochMs)) return entry;
    return { ...entry, created: goTime(epochMs) };
  });
}

function ordered(entry: HistoryEntry): HistoryEntry {
  return {
    ...(entry.created === undefined ? {} : { created: entry.created }),
    ...(entry.created_by ? { created_by: entry.created_by } : {}),
    ...(entry.author ? { author: entry.author } : {}),
    ...(entry.comment ? { comment: entry.comment } : {}),
    ...(entry.empty_layer ? { empty_layer: true } : {}),
  };
}
