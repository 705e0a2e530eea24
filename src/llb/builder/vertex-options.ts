import type { LinuxResources, Op, OpMetadata, ProgressGroup, Platform as WirePlatform } from "../../api/gen/ops.ts";
import { normalizePlatform, type Platform } from "../../core/values/platform.ts";
import type { SourceLocation } from "./source-map.ts";
import type { MarshalContext } from "./vertex.ts";

/** What any vertex may be given: constraints (part of its digest) and metadata (not part of it). */
export interface VertexOptions {
  readonly platform?: Platform | undefined;
  /** Worker filters. */
  readonly filters?: readonly string[];
  /** Name shown to the user. */
  readonly customName?: string;
  readonly description?: Readonly<Record<string, string>>;
  readonly ignoreCache?: boolean;
  readonly exportCache?: boolean;
  readonly progressGroup?: ProgressGroup;
  readonly linuxResources?: LinuxResources | undefined;
  readonly locations?: readonly SourceLocation[];
}

/** Everything of an op but its inputs and kind (BuildKit client/llb/marshal.go, MarshalConstraints). */
export function baseOp(context: MarshalContext, options: VertexOptions, platformSpecific: boolean): Op {
  return {
    inputs: [],
    platform: platformSpecific ? wirePlatform(options.platform ?? context.platform) : undefined,
    constraints: { filter: [...(options.filters ?? [])] },
    op: undefined,
  };
}

export function wirePlatform(platform: Platform): WirePlatform {
  return {
    Architecture: platform.architecture,
    OS: platform.os,
    Variant: platform.variant,
    OSVersion: platform.osVersion,
    OSFeatures: [...platform.osFeatures],
  };
}

export function platformFromWire(platform: WirePlatform): Platform {
  return normalizePlatform({
    os: platform.OS,
    architecture: platform.Architecture,
    variant: platform.Variant,
    osVersion: platform.OSVersion,
    osFeatures: platform.OSFeatures,
  });
}

/** @param caps capabilities which the daemon must have for this op (map c18, c19) */
export function vertexMetadata(options: VertexOptions, caps: Iterable<string>): OpMetadata {
  const description = { ...options.description };
  if (options.customName !== undefined) description["llb.customname"] = options.customName;
  return {
    ignoreCache: options.ignoreCache ?? false,
    description: sortKeys(description),
    exportCache: options.exportCache === undefined ? undefined : { Value: options.exportCache },
    caps: Object.fromEntries([...new Set(caps)].sort().map((cap) => [cap, true])),
    progressGroup: options.progressGroup,
    linuxResources: options.linuxResources,
  };
}

/** What two equal ops with different metadata become: the later one wins where it says something. */
export function mergeMetadata(first: OpMetadata | undefined, second: OpMetadata): OpMetadata {
  if (first === undefined) return second;
  return {
    ignoreCache: first.ignoreCache || second.ignoreCache,
    description: sortKeys({ ...first.description, ...second.description }),
    exportCache: second.exportCache ?? first.exportCache,
    caps: sortKeys({ ...first.caps, ...second.caps }),
    progressGroup: second.progressGroup ?? first.progressGroup,
    linuxResources: second.linuxResources ?? first.linuxResources,
  };
}

/** Protobuf maps are written in key order, as Go's deterministic marshalling does. */
export function sortKeys<T>(record: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
}
