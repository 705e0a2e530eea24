/** What a device changes about a container (CDI specification, `containerEdits`). */
export interface ContainerEdits {
  readonly env: readonly string[];
  readonly deviceNodes: readonly DeviceNode[];
  readonly mounts: readonly EditedMount[];
  readonly hooks: readonly ContainerHook[];
  readonly additionalGids: readonly number[];
  /** As the OCI runtime takes them. */
  readonly intelRdt?: Readonly<Record<string, unknown>>;
  readonly netDevices: readonly { readonly hostInterfaceName: string; readonly name: string }[];
}

export interface DeviceNode {
  /** In the container. */
  readonly path: string;
  /** On the machine; what is absent below comes from there. Default: `path`. */
  readonly hostPath?: string;
  /** Block, character, fifo. */
  readonly type?: "b" | "c" | "u" | "p";
  readonly major?: number;
  readonly minor?: number;
  readonly fileMode?: number;
  /** Of `rwm`; default all. */
  readonly permissions?: string;
  readonly uid?: number;
  readonly gid?: number;
}

export interface EditedMount {
  readonly hostPath: string;
  readonly containerPath: string;
  readonly options: readonly string[];
  readonly type: string;
}

export const hookNames = [
  "prestart",
  "createRuntime",
  "createContainer",
  "startContainer",
  "poststart",
  "poststop",
] as const;

export interface ContainerHook {
  readonly hookName: (typeof hookNames)[number];
  readonly path: string;
  readonly args?: readonly string[];
  readonly env?: readonly string[];
  /** Seconds. */
  readonly timeout?: number;
}

/** All edits one after the other. */
export function joinEdits(all: readonly ContainerEdits[]): ContainerEdits {
  const intelRdt = all.findLast((edits) => edits.intelRdt !== undefined)?.intelRdt;
  return {
    env: all.flatMap(({ env }) => env),
    deviceNodes: all.flatMap(({ deviceNodes }) => deviceNodes),
    mounts: all.flatMap(({ mounts }) => mounts),
    hooks: all.flatMap(({ hooks }) => hooks),
    additionalGids: all.flatMap(({ additionalGids }) => additionalGids),
    netDevices: all.flatMap(({ netDevices }) => netDevices),
    ...(intelRdt === undefined ? {} : { intelRdt }),
  };
}
