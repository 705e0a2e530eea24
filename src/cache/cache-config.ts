import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import { type Digest, isDigest } from "../core/values/digest.ts";
import { goJson, goTime } from "../util/go-json.ts";
import { parseCacheJson, shown } from "./cache-json.ts";

/** BuildKit cache/remotecache/v1/types/spec.go. */
export const cacheConfigMediaType = "application/vnd.buildkit.cacheconfig.v0";

/** The index of an exported cache. All references are places in the lists. */
export interface CacheConfig {
  readonly layers: readonly CacheLayer[];
  readonly records: readonly CacheConfigRecord[];
}

export interface CacheLayer {
  readonly blob: Digest;
  /** Place of the layer below; -1 for none. */
  readonly parent: number;
}

/** An op output (root key), what leads to it, and its results. */
export interface CacheConfigRecord {
  readonly digest: Digest;
  /** Alternatives by input. */
  readonly inputs: readonly (readonly CacheConfigLink[])[];
  /** The named layer and all below it. */
  readonly results: readonly { readonly layer: number; readonly createdAt: number }[];
  /** Exactly the named layers, bottom first; written for inline cache only. */
  readonly chains: readonly { readonly layers: readonly number[]; readonly createdAt: number }[];
}

export interface CacheConfigLink {
  readonly selector: string;
  /** Place of the input's record. */
  readonly link: number;
}

/** Digests and selectors, which are digests too. */
const maxNameLength = 256;

/** Go's zero time.Time, which BuildKit writes for chains. */
const zeroTime = "0001-01-01T00:00:00Z";

/** The bytes as BuildKit writes them: its field order, zero values left out. */
export function encodeCacheConfig(config: CacheConfig): Uint8Array {
  const layers = config.layers.map(({ blob, parent }) => ({ blob, parent: parent === 0 ? undefined : parent }));
  return encode({
    layers: layers.length === 0 ? undefined : layers,
    records: config.records.length === 0 ? undefined : config.records.map(recordJson),
  });
}

/** The list alone, as an image config carries it (map g3). */
export function encodeCacheRecords(records: readonly CacheConfigRecord[]): Uint8Array {
  return encode(records.map(recordJson));
}

function recordJson(record: CacheConfigRecord): unknown {
  const { digest, inputs, results, chains } = record;
  return {
    layers: nonEmpty(results.map(({ layer, createdAt }) => ({ layer, createdAt: timeText(createdAt) }))),
    chains: nonEmpty(chains.map(({ layers, createdAt }) => ({ layers, createdAt: timeText(createdAt) }))),
    digest,
    inputs: nonEmpty(
      inputs.map((links) =>
        links.map(({ selector, link }) => ({ selector: selector === "" ? undefined : selector, link })),
      ),
    ),
  };
}

/**
 * Reads a config that anybody may have written. Unknown fields are passed over.
 * @throws BuildError InvalidArgument when it is not of this form; references are checked by `checkCacheConfig`
 */
export function parseCacheConfig(bytes: Uint8Array): CacheConfig {
  const config = asObject(parseCacheJson(bytes, "cache config"), "cache config");
  return {
    layers: asList(config["layers"], "layers").map(parseLayer),
    records: asList(config["records"], "records").map(parseRecord),
  };
}

/** @throws as `parseCacheConfig` */
export function parseCacheRecords(bytes: Uint8Array): CacheConfigRecord[] {
  return asList(parseCacheJson(bytes, "inline cache"), "inline cache").map(parseRecord);
}

function parseLayer(value: unknown): CacheLayer {
  const layer = asObject(value, "layer");
  return { blob: asDigest(layer["blob"]), parent: asIndex(layer["parent"]) };
}

function parseRecord(value: unknown): CacheConfigRecord {
  const record = asObject(value, "record");
  return {
    digest: asDigest(record["digest"]),
    inputs: asList(record["inputs"], "inputs").map((links) =>
      asList(links, "input").map((entry) => {
        const { selector = "", link } = asObject(entry, "link");
        if (typeof selector !== "string" || selector.length > maxNameLength)
          throw invalid(`selector ${shown(selector)}`);
        return { selector, link: asIndex(link) };
      }),
    ),
    results: asList(record["layers"], "results").map((entry) => {
      const { layer, createdAt } = asObject(entry, "result");
      return { layer: asIndex(layer), createdAt: asTime(createdAt) };
    }),
    chains: asList(record["chains"], "chains").map((entry) => {
      const { layers, createdAt } = asObject(entry, "chain");
      return { layers: asList(layers, "chain").map(asIndex), createdAt: asTime(createdAt) };
    }),
  };
}

function encode(value: unknown): Uint8Array {
  return new TextEncoder().encode(goJson(value));
}

function nonEmpty<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length === 0 ? undefined : list;
}

function timeText(unixMs: number): string {
  return unixMs === 0 ? zeroTime : goTime(unixMs);
}

function asObject(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid(`${what} is no object`);
  return value as Record<string, unknown>;
}

/** Go reads null and an absent field as an empty list. */
function asList(value: unknown, what: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw invalid(`${what} is no list`);
  return value;
}

function asIndex(value: unknown): number {
  if (value === undefined || value === null) return 0;
  if (typeof value !== "number" || !Number.isSafeInteger(value)) throw invalid(`${shown(value)} is no index`);
  return value;
}

function asDigest(value: unknown): Digest {
  if (typeof value !== "string" || value.length > maxNameLength || !isDigest(value)) {
    throw invalid(`${shown(value)} is no digest`);
  }
  return value;
}

/** Unix milliseconds; 0 for Go's zero time. */
function asTime(value: unknown): number {
  if (value === undefined || value === null) return 0;
  const time = typeof value === "string" ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(time)) throw invalid(`${shown(value)} is no time`);
  return Math.max(0, time);
}

function invalid(message: string): BuildError {
  return new BuildError(Code.InvalidArgument, `invalid cache config: ${message}`);
}
