import { BuildError } from "../../../core/errors/build-error.ts";
import { Code } from "../../../core/errors/code.ts";
import { normalizePlatform, type Platform } from "../../../core/values/platform.ts";
import { goJson } from "../../../util/go-json.ts";
import type { Healthcheck } from "../instructions/index.ts";
import { ImageEnv } from "./image-env.ts";

/** One line of an image's history (OCI image spec, config.md). */
export interface HistoryEntry {
  readonly created?: string;
  readonly created_by?: string;
  readonly author?: string;
  readonly comment?: string;
  readonly empty_layer?: boolean;
}

/** Settings of containers; the stage being converted owns its copy and changes it. */
export interface ContainerConfig {
  user: string;
  exposedPorts: Set<string>;
  env: ImageEnv;
  entrypoint: readonly string[];
  cmd: readonly string[];
  volumes: Set<string>;
  workingDir: string;
  labels: Map<string, string>;
  stopSignal: string;
  argsEscaped: boolean;
  healthcheck: Healthcheck | undefined;
  onBuild: string[];
  shell: readonly string[];
}

/** An image config with Docker's additions (BuildKit's dockerspec.DockerOCIImage). */
export interface ImageConfig {
  created: string | undefined;
  author: string;
  /** Absent parts are empty; written as they are, not normalized. */
  platform: Platform;
  config: ContainerConfig;
  readonly rootfs: { readonly type: string; readonly diffIds: readonly string[] | undefined };
  history: HistoryEntry[];
}

export const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** What `FROM scratch` starts with. */
export function emptyImage(platform: Platform): ImageConfig {
  return {
    created: undefined,
    author: "",
    platform,
    config: {
      ...emptyContainerConfig(),
      workingDir: "/",
      // Windows has its own default.
      env: new ImageEnv(platform.os === "windows" ? [] : [`PATH=${defaultPath}`]),
    },
    rootfs: { type: "layers", diffIds: undefined },
    history: [],
  };
}

export function emptyContainerConfig(): ContainerConfig {
  return {
    user: "",
    exposedPorts: new Set(),
    env: new ImageEnv(),
    entrypoint: [],
    cmd: [],
    volumes: new Set(),
    workingDir: "",
    labels: new Map(),
    stopSignal: "",
    argsEscaped: false,
    healthcheck: undefined,
    onBuild: [],
    shell: [],
  };
}

export function cloneImage(image: ImageConfig): ImageConfig {
  const { config } = image;
  return {
    ...image,
    history: [...image.history],
    config: {
      ...config,
      env: new ImageEnv(config.env.entries),
      onBuild: [...config.onBuild],
      exposedPorts: new Set(config.exposedPorts),
      volumes: new Set(config.volumes),
      labels: new Map(config.labels),
    },
  };
}

interface HealthcheckJson {
  readonly Test?: readonly string[];
  readonly Interval?: number;
  readonly Timeout?: number;
  readonly StartPeriod?: number;
  readonly StartInterval?: number;
  readonly Retries?: number;
}

interface ImageJson {
  readonly created?: string;
  readonly author?: string;
  readonly architecture?: string;
  readonly os?: string;
  readonly "os.version"?: string;
  readonly "os.features"?: readonly string[];
  readonly variant?: string;
  readonly rootfs?: { readonly type?: string; readonly diff_ids?: readonly string[] | null } | null;
  readonly history?: readonly HistoryEntry[] | null;
  readonly config?: {
    readonly User?: string;
    readonly ExposedPorts?: Readonly<Record<string, unknown>> | null;
    readonly Env?: readonly string[] | null;
    readonly Entrypoint?: readonly string[] | null;
    readonly Cmd?: readonly string[] | null;
    readonly Volumes?: Readonly<Record<string, unknown>> | null;
    readonly WorkingDir?: string;
    readonly Labels?: Readonly<Record<string, string>> | null;
    readonly StopSignal?: string;
    readonly ArgsEscaped?: boolean;
    readonly Healthcheck?: HealthcheckJson | null;
    readonly OnBuild?: readonly string[] | null;
    readonly Shell?: readonly string[] | null;
  } | null;
}

/** Known fields of an image config; others are dropped. @throws BuildError */
export function parseImage(data: Uint8Array): ImageConfig {
  let json: ImageJson;
  try {
    json = JSON.parse(new TextDecoder().decode(data));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new BuildError(Code.Unknown, `failed to parse image config: ${reason}`, { cause: error });
  }
  const config = json.config ?? {};
  const health = config.Healthcheck ?? undefined;
  return {
    created: json.created,
    author: json.author ?? "",
    platform: {
      os: json.os ?? "",
      architecture: json.architecture ?? "",
      variant: json.variant ?? "",
      osVersion: json["os.version"] ?? "",
      osFeatures: json["os.features"] ?? [],
    },
    rootfs: { type: json.rootfs?.type ?? "", diffIds: json.rootfs?.diff_ids ?? undefined },
    history: [...(json.history ?? [])],
    config: {
      user: config.User ?? "",
      exposedPorts: new Set(Object.keys(config.ExposedPorts ?? {})),
      env: new ImageEnv(config.Env ?? []),
      entrypoint: config.Entrypoint ?? [],
      cmd: config.Cmd ?? [],
      volumes: new Set(Object.keys(config.Volumes ?? {})),
      workingDir: config.WorkingDir ?? "",
      labels: new Map(Object.entries(config.Labels ?? {})),
      stopSignal: config.StopSignal ?? "",
      argsEscaped: config.ArgsEscaped ?? false,
      healthcheck:
        health === undefined
          ? undefined
          : {
              test: health.Test ?? [],
              intervalNanos: health.Interval ?? 0,
              timeoutNanos: health.Timeout ?? 0,
              startPeriodNanos: health.StartPeriod ?? 0,
              startIntervalNanos: health.StartInterval ?? 0,
              retries: health.Retries ?? 0,
            },
      onBuild: [...(config.OnBuild ?? [])],
      shell: config.Shell ?? [],
    },
  };
}

/** The config as Go's encoding/json writes it: its bytes are the image's identity. */
export function encodeImage(image: ImageConfig): Uint8Array {
  const { config, platform } = image;
  const health = config.healthcheck;
  const json = {
    created: image.created,
    author: nonEmpty(image.author),
    architecture: platform.architecture,
    os: platform.os,
    "os.version": nonEmpty(platform.osVersion),
    "os.features": nonEmptyList(platform.osFeatures),
    variant: nonEmpty(platform.variant),
    rootfs: { type: image.rootfs.type, diff_ids: image.rootfs.diffIds ?? null },
    history: nonEmptyList(image.history.map(historyJson)),
    config: {
      User: nonEmpty(config.user),
      ExposedPorts: setJson(config.exposedPorts),
      Env: nonEmptyList(config.env.entries),
      Entrypoint: nonEmptyList(config.entrypoint),
      Cmd: nonEmptyList(config.cmd),
      Volumes: setJson(config.volumes),
      WorkingDir: nonEmpty(config.workingDir),
      Labels: config.labels.size === 0 ? undefined : Object.fromEntries([...config.labels].sort(byKey)),
      StopSignal: nonEmpty(config.stopSignal),
      ArgsEscaped: config.argsEscaped || undefined,
      Healthcheck:
        health === undefined
          ? undefined
          : {
              Test: nonEmptyList(health.test),
              Interval: health.intervalNanos || undefined,
              Timeout: health.timeoutNanos || undefined,
              StartPeriod: health.startPeriodNanos || undefined,
              StartInterval: health.startIntervalNanos || undefined,
              Retries: health.retries || undefined,
            },
      OnBuild: nonEmptyList(config.onBuild),
      Shell: nonEmptyList(config.shell),
    },
  };
  return new TextEncoder().encode(goJson(json));
}

/** The platform with the names containerd gives it. */
export function normalizeImagePlatform(image: ImageConfig): void {
  image.platform = normalizePlatform(image.platform);
}

function historyJson(entry: HistoryEntry): HistoryEntry {
  return {
    ...(entry.created ? { created: entry.created } : {}),
    ...(entry.created_by ? { created_by: entry.created_by } : {}),
    ...(entry.author ? { author: entry.author } : {}),
    ...(entry.comment ? { comment: entry.comment } : {}),
    ...(entry.empty_layer ? { empty_layer: true } : {}),
  };
}

function nonEmpty(text: string): string | undefined {
  return text === "" ? undefined : text;
}

function nonEmptyList<T>(list: readonly T[]): readonly T[] | undefined {
  return list.length === 0 ? undefined : list;
}

function setJson(names: ReadonlySet<string>): Record<string, object> | undefined {
  if (names.size === 0) return undefined;
  return Object.fromEntries([...names].sort().map((name) => [name, {}]));
}

function byKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
