import {
  type BuildHistoryEvent,
  BuildHistoryEventType,
  type BuildHistoryRecord,
  type BuildResultInfo,
  type Descriptor,
  type UsageRecord,
} from "../../api/gen/control.ts";
import type { BuildkitVersion, WorkerRecord } from "../../api/gen/worker.ts";
import { usageJson } from "../usage-records.ts";
import { GoEnum, GoObject, type GoValue } from "./go-value.ts";

type Timestamp = NonNullable<UsageRecord["CreatedAt"]>;

/** What `{{json .}}` and fields of a template show: the Go types of BuildKit's client and API. */
export function usageValue(record: UsageRecord): GoValue {
  return GoObject.struct({ ...usageJson(record), parents: listOrNull(record.Parents) });
}

export function workerValue(worker: WorkerRecord): GoValue {
  return GoObject.struct({
    id: worker.ID,
    labels: GoObject.map(worker.Labels),
    platforms: worker.platforms.map(({ Architecture, OS, Variant }) =>
      GoObject.struct({ architecture: Architecture, os: OS, variant: Variant }, ["variant"]),
    ),
    gcPolicy: worker.GCPolicy.map((rule) =>
      GoObject.struct({
        all: rule.all,
        filter: listOrNull(rule.filters),
        keepDuration: Number(rule.keepDuration),
        reservedSpace: rule.reservedSpace,
        maxUsedSpace: rule.maxUsedSpace,
        minFreeSpace: rule.minFreeSpace,
      }),
    ),
    buildkitVersion: versionValue(worker.BuildkitVersion),
    cdiDevices: listOrNull(
      worker.CDIDevices.map(({ Name, AutoAllow, Annotations, OnDemand }) =>
        GoObject.struct({
          name: Name,
          autoAllow: AutoAllow,
          annotations: GoObject.map(Annotations),
          onDemand: OnDemand,
        }),
      ),
    ),
  });
}

export function infoValue(version: BuildkitVersion | undefined): GoValue {
  return GoObject.struct({ buildkitVersion: versionValue(version) });
}

function versionValue(version: BuildkitVersion | undefined): GoValue {
  const { package: name = "", version: number = "", revision = "", dockerfileVersion = "" } = version ?? {};
  return GoObject.struct({ package: name, version: number, revision, dockerfileVersion }, ["dockerfileVersion"]);
}

const eventNames = new Map(Object.entries(BuildHistoryEventType).map(([name, type]) => [type, name]));

export function eventName(type: BuildHistoryEventType): string {
  return eventNames.get(type) ?? String(type);
}

export function eventValue({ type, record }: BuildHistoryEvent): GoValue {
  return GoObject.message({
    type: new GoEnum(eventName(type), type),
    record: record === undefined ? null : recordValue(record),
  });
}

function recordValue(record: BuildHistoryRecord): GoValue {
  return GoObject.message({
    Ref: record.Ref,
    Frontend: record.Frontend,
    FrontendAttrs: GoObject.map(record.FrontendAttrs),
    Exporters: record.Exporters.map(({ Type, Attrs }) => GoObject.message({ Type, Attrs: GoObject.map(Attrs) })),
    error:
      record.error === undefined ? null : GoObject.message({ code: record.error.code, message: record.error.message }),
    CreatedAt: timeValue(record.CreatedAt),
    CompletedAt: timeValue(record.CompletedAt),
    logs: descriptorValue(record.logs),
    ExporterResponse: GoObject.map(record.ExporterResponse),
    Result: record.Result === undefined ? null : resultValue(record.Result),
    Results: GoObject.map(
      Object.fromEntries(Object.entries(record.Results).map(([platform, result]) => [platform, resultValue(result)])),
    ),
    Generation: record.Generation,
    trace: descriptorValue(record.trace),
    pinned: record.pinned,
    numCachedSteps: record.numCachedSteps,
    numTotalSteps: record.numTotalSteps,
    numCompletedSteps: record.numCompletedSteps,
    externalError: descriptorValue(record.externalError),
    numWarnings: record.numWarnings,
  });
}

function resultValue({ ResultDeprecated, Attestations, Results }: BuildResultInfo): GoValue {
  return GoObject.message({
    ResultDeprecated: descriptorValue(ResultDeprecated),
    Attestations: Attestations.map(descriptorValue),
    Results: GoObject.map(
      Object.fromEntries([...Results].map(([index, descriptor]) => [String(index), descriptorValue(descriptor)])),
    ),
  });
}

function descriptorValue(descriptor: Descriptor | undefined): GoValue {
  if (descriptor === undefined) return null;
  const { mediaType, digest, size, annotations } = descriptor;
  return GoObject.message({ media_type: mediaType, digest, size, annotations: GoObject.map(annotations) });
}

function timeValue(time: Timestamp | undefined): GoValue {
  return time === undefined ? null : GoObject.message({ seconds: Number(time.seconds), nanos: time.nanos });
}

function listOrNull(list: readonly GoValue[]): GoValue {
  return list.length === 0 ? null : list;
}
