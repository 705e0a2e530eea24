import { type Mount, MountContentCache, MountType } from "../../api/gen/ops.ts";

/** A mount as it stands in BuildKit's error texts: protobuf text format on one line, fields two spaces apart. */
export function formatMount(mount: Mount): string {
  const fields = [
    plain("input", mount.input),
    quoted("selector", mount.selector),
    quoted("dest", mount.dest),
    plain("output", mount.output),
    plain("readonly", mount.readonly),
    named("mountType", mount.mountType, MountType),
    nested("TmpfsOpt", mount.TmpfsOpt && [plain("size", mount.TmpfsOpt.size)]),
    nested("cacheOpt", mount.cacheOpt && [quoted("ID", mount.cacheOpt.ID), plain("sharing", mount.cacheOpt.sharing)]),
    nested("secretOpt", mount.secretOpt && [quoted("ID", mount.secretOpt.ID)]),
    nested("SSHOpt", mount.SSHOpt && [quoted("ID", mount.SSHOpt.ID)]),
    quoted("resultID", mount.resultID),
    named("contentCache", mount.contentCache, MountContentCache),
  ];
  return joined(fields);
}

function joined(fields: readonly (string | undefined)[]): string {
  return fields.filter((field) => field !== undefined).join("  ");
}

function plain(name: string, value: number | boolean): string | undefined {
  return value === 0 || value === false ? undefined : `${name}:${value}`;
}

function quoted(name: string, value: string): string | undefined {
  return value === "" ? undefined : `${name}:${JSON.stringify(value)}`;
}

function named(name: string, value: number, names: Readonly<Record<string, number>>): string | undefined {
  if (value === 0) return undefined;
  return `${name}:${Object.keys(names).find((key) => names[key] === value) ?? value}`;
}

function nested(name: string, fields: readonly (string | undefined)[] | undefined): string | undefined {
  return fields === undefined ? undefined : `${name}:{${joined(fields)}}`;
}
