import {
  CacheSharingOpt,
  type Definition,
  type Location,
  MountContentCache,
  MountType,
  NetMode,
  type OpMetadata,
  type Range,
  SecurityMode,
  type SourceInfo,
} from "../../../api/gen/ops.ts";

/** LLB messages as JSON, in the two forms in which BuildKit answers subrequests. */

const int64Fields = new Set(
  (
    "index Soft Hard input output secondaryInput size builder timestamp outputs " +
    "memory memorySwap cpuShares cpuPeriod cpuQuota"
  ).split(" "),
);
const mapFields = new Set(["attrs", "description", "caps", "metadata"]);
const enumFields: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  network: NetMode,
  security: SecurityMode,
  mountType: MountType,
  sharing: CacheSharingOpt,
  contentCache: MountContentCache,
};

/** protobuf's JSON mapping of an Op or Source: 64-bit numbers as strings, enums by name, defaults left out. */
export function protoJson(message: object): Record<string, unknown> {
  const json: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(message)) {
    if (isOneof(value)) {
      json[value.$case] = oneofJson(value.$case, value.value);
      continue;
    }
    const field = isMap(name, value) ? mapJson(value) : fieldJson(name, value);
    if (field !== undefined) json[name] = field;
  }
  return json;
}

function isOneof(value: unknown): value is { readonly $case: string; readonly value: unknown } {
  return typeof value === "object" && value !== null && "$case" in value;
}

/** `locations` and `inputs` are lists in some messages, maps in others. */
function isMap(name: string, value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return mapFields.has(name) || name === "locations" || name === "inputs";
}

function mapJson(map: Readonly<Record<string, unknown>>): Record<string, unknown> | undefined {
  const entries = Object.entries(map).map(([key, value]): [string, unknown] => [
    key,
    typeof value === "object" && value !== null ? protoJson(value) : value,
  ]);
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

/** A chosen alternative is written even when it is zero. */
function oneofJson(name: string, value: unknown): unknown {
  return typeof value === "object" && value !== null ? protoJson(value) : (fieldJson(name, value) ?? value);
}

function fieldJson(name: string, value: unknown): unknown {
  if (value === undefined || value === "" || value === 0 || value === 0n || value === false) return undefined;
  if (value instanceof Uint8Array) return value.length === 0 ? undefined : base64(value);
  if (Array.isArray(value)) {
    if (value.length === 0) return undefined;
    return value.map((item) =>
      item instanceof Uint8Array ? base64(item) : typeof item === "object" ? protoJson(item) : scalarJson(name, item),
    );
  }
  return typeof value === "object" && value !== null ? protoJson(value) : scalarJson(name, value);
}

function scalarJson(name: string, value: unknown): unknown {
  const names = enumFields[name];
  if (names !== undefined) return Object.keys(names).find((key) => names[key] === value) ?? value;
  return int64Fields.has(name) || typeof value === "bigint" ? String(value) : value;
}

/** encoding/json of op metadata: names of the .proto, defaults left out. */
export function metadataJson(metadata: OpMetadata): Record<string, unknown> {
  const { description, caps, progressGroup, linuxResources, exportCache } = metadata;
  return {
    ...(metadata.ignoreCache ? { ignore_cache: true } : {}),
    ...(Object.keys(description).length === 0 ? {} : { description }),
    ...(exportCache === undefined ? {} : { export_cache: withoutZeros(exportCache) }),
    ...(Object.keys(caps).length === 0 ? {} : { caps }),
    ...(progressGroup === undefined ? {} : { progress_group: withoutZeros(progressGroup) }),
    ...(linuxResources === undefined ? {} : { linux_resources: withoutZeros(linuxResources) }),
  };
}

/** encoding/json of a source file. */
export function sourceInfoJson(info: SourceInfo): Record<string, unknown> {
  return {
    ...(info.filename === "" ? {} : { filename: info.filename }),
    ...(info.data.length === 0 ? {} : { data: base64(info.data) }),
    ...(info.definition === undefined ? {} : { definition: definitionJson(info.definition) }),
    ...(info.language === "" ? {} : { language: info.language }),
  };
}

function definitionJson({ def, metadata, Source: source }: Definition): Record<string, unknown> {
  return {
    ...(def.length === 0 ? {} : { def: def.map(base64) }),
    ...(Object.keys(metadata).length === 0 ? {} : { metadata: mapValues(metadata, metadataJson) }),
    ...(source === undefined
      ? {}
      : {
          Source: {
            ...(Object.keys(source.locations).length === 0
              ? {}
              : {
                  locations: mapValues(source.locations, ({ locations }) =>
                    locations.length === 0 ? {} : { locations: locations.map(locationJson) },
                  ),
                }),
            ...(source.infos.length === 0 ? {} : { infos: source.infos.map(sourceInfoJson) }),
          },
        }),
  };
}

/** encoding/json of a place in a source. */
export function locationJson({ sourceIndex, ranges }: Location): Record<string, unknown> {
  return {
    ...(sourceIndex === 0 ? {} : { sourceIndex }),
    ...(ranges.length === 0 ? {} : { ranges: ranges.map(rangeJson) }),
  };
}

function rangeJson({ start, end }: Range): Record<string, unknown> {
  return { start: withoutZeros(start ?? {}), end: withoutZeros(end ?? {}) };
}

function withoutZeros(message: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(message).filter(([, value]) => Boolean(value)));
}

function mapValues<T, U>(map: Readonly<Record<string, T>>, convert: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, convert(value)]));
}

function base64(data: Uint8Array): string {
  return Buffer.from(data).toString("base64");
}
