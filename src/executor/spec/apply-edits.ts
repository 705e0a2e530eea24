import type { ContainerEdits } from "../../core/values/container-edits.ts";
import type { OciMount, OciSpec } from "./oci-spec.ts";

/** The container with its devices, but for their environment (CDI specification; container-device-interface pkg/cdi/container-edits.go). */
export function applyEdits(spec: OciSpec, edits: ContainerEdits): OciSpec {
  const { process, linux } = spec;
  const { user } = process;
  const devices = edits.deviceNodes.map(({ path, type = "c", major = 0, minor = 0, fileMode, uid, gid }) => ({
    ...{ path, type, major, minor },
    ...(fileMode === undefined ? {} : { fileMode }),
    ...owner("uid", uid ?? user.uid),
    ...owner("gid", gid ?? user.gid),
  }));
  const access = edits.deviceNodes.flatMap(({ type, major = 0, minor = 0, permissions = "rwm" }) =>
    type === "b" || type === "c" ? [{ allow: true, type, major, minor, access: permissions }] : [],
  );
  const gids = edits.additionalGids.filter((gid) => gid !== 0);
  const kept = (linux.devices ?? []).filter(({ path }) => !devices.some((device) => device.path === path));
  return {
    ...spec,
    process: {
      ...process,
      user: { ...user, additionalGids: [...new Set([...user.additionalGids, ...gids])] },
    },
    mounts: withMounts(spec.mounts, edits),
    linux: {
      ...linux,
      devices: [...kept, ...devices],
      resources: { ...linux.resources, devices: [...linux.resources.devices, ...access] },
      ...(edits.intelRdt === undefined ? {} : { intelRdt: edits.intelRdt }),
      ...(edits.netDevices.length === 0
        ? {}
        : {
            netDevices: Object.fromEntries(
              edits.netDevices.map((each) => [each.hostInterfaceName, { name: each.name }]),
            ),
          }),
    },
    ...(edits.hooks.length === 0 ? {} : { hooks: hooksOf(edits) }),
  };
}

/** Root owns what nobody else is named for. */
function owner<K extends string>(key: K, id: number): { readonly [key in K]?: number } {
  return id === 0 ? {} : ({ [key]: id } as { readonly [key in K]?: number });
}

/** Parents first, for a mount of a device may lie on another one. */
function withMounts(mounts: readonly OciMount[], edits: ContainerEdits): readonly OciMount[] {
  if (edits.mounts.length === 0) return mounts;
  const added = edits.mounts.map(({ hostPath, containerPath, type, options }) => ({
    ...{ source: hostPath, destination: containerPath, type: type === "" ? "bind" : type },
    options,
  }));
  const others = mounts.filter(({ destination }) => !added.some((mount) => mount.destination === destination));
  const depth = ({ destination }: OciMount) => destination.split("/").filter((part) => part !== "").length;
  return [...others, ...added].sort((a, b) => depth(a) - depth(b));
}

function hooksOf(edits: ContainerEdits): NonNullable<OciSpec["hooks"]> {
  const byName = Map.groupBy(edits.hooks, ({ hookName }) => hookName);
  return Object.fromEntries([...byName].map(([name, hooks]) => [name, hooks.map(({ hookName: _, ...hook }) => hook)]));
}
