import { parse } from "yaml";
import {
  type ContainerEdits,
  type ContainerHook,
  type DeviceNode,
  hookNames,
} from "../../core/values/container-edits.ts";
import { SpecTable } from "./spec-table.ts";

/** One file of a vendor (CDI specification, SPEC.md). */
export interface CdiSpec {
  /** `vendor.com/class` */
  readonly kind: string;
  readonly annotations: Readonly<Record<string, string>>;
  /** For any device of the file. */
  readonly edits: ContainerEdits;
  readonly devices: readonly CdiSpecDevice[];
}

export interface CdiSpecDevice {
  readonly name: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly edits: ContainerEdits;
}

const versions = ["0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0"];
const kindPart = /^[A-Za-z](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?$/;
const deviceName = /^[A-Za-z0-9](?:[A-Za-z0-9_.:-]*[A-Za-z0-9])?$/;

/** @param text JSON or YAML. @throws Error that says what is wrong with it */
export function parseCdiSpec(text: string): CdiSpec {
  const root = new SpecTable(parse(text), "the spec");
  const version = root.string("cdiVersion").replace(/^v/, "");
  if (!versions.includes(version)) throw new Error(`invalid version ${JSON.stringify(version)}`);
  const kind = root.string("kind");
  const [vendor = "", ...rest] = kind.split("/");
  if (!kindPart.test(vendor) || !kindPart.test(rest.join("/"))) throw new Error(`invalid kind ${JSON.stringify(kind)}`);
  const devices = root.tables("devices").map(specDevice);
  if (devices.length === 0) throw new Error("invalid spec, no devices");
  const twice = devices.find(({ name }, i) => devices.findIndex((other) => other.name === name) !== i);
  if (twice !== undefined) throw new Error(`invalid spec, multiple device ${JSON.stringify(twice.name)}`);
  const spec = { kind, annotations: root.texts("annotations"), edits: containerEdits(root), devices };
  root.end();
  return spec;
}

function specDevice(table: SpecTable): CdiSpecDevice {
  const name = table.string("name");
  if (!deviceName.test(name)) throw new Error(`invalid device name ${JSON.stringify(name)}`);
  const device = { name, annotations: table.texts("annotations"), edits: containerEdits(table) };
  table.end();
  const { intelRdt, ...lists } = device.edits;
  if (intelRdt === undefined && Object.values(lists).every((list) => list.length === 0)) {
    throw new Error(`invalid device ${JSON.stringify(name)}, empty device edits`);
  }
  return device;
}

function containerEdits(parent: SpecTable): ContainerEdits {
  const table = parent.table("containerEdits");
  const intelRdt = table?.record("intelRdt");
  const edits = {
    env: environment(table),
    deviceNodes: table?.tables("deviceNodes").map(deviceNode) ?? [],
    mounts: table?.tables("mounts").map(mount) ?? [],
    hooks: table?.tables("hooks").map(hook) ?? [],
    additionalGids: table?.numbers("additionalGids") ?? [],
    netDevices: table?.tables("netDevices").map(netDevice) ?? [],
    ...(intelRdt === undefined ? {} : { intelRdt }),
  };
  table?.end();
  return edits;
}

function environment(table: SpecTable | undefined): readonly string[] {
  const env = table?.strings("env") ?? [];
  const bad = env.find((entry) => entry.indexOf("=") <= 0);
  if (bad !== undefined) throw new Error(`invalid environment variable ${JSON.stringify(bad)}`);
  return env;
}

function deviceNode(table: SpecTable): DeviceNode {
  const path = table.string("path");
  const type = table.optionalString("type") ?? "";
  const permissions = table.optionalString("permissions") ?? "";
  if (path === "") throw new Error("invalid (empty) device path");
  if (!["", "b", "c", "u", "p"].includes(type))
    throw new Error(`device ${JSON.stringify(path)}: invalid type ${JSON.stringify(type)}`);
  if (!/^[rwm]*$/.test(permissions)) {
    throw new Error(`device ${JSON.stringify(path)}: invalid permissions ${JSON.stringify(permissions)}`);
  }
  const node = {
    path,
    ...optional("hostPath", table.optionalString("hostPath") || undefined),
    ...optional("type", (type as NonNullable<DeviceNode["type"]>) || undefined),
    ...optional("permissions", permissions || undefined),
    ...optional("major", table.optionalNumber("major")),
    ...optional("minor", table.optionalNumber("minor")),
    ...optional("fileMode", table.optionalNumber("fileMode")),
    ...optional("uid", table.optionalNumber("uid")),
    ...optional("gid", table.optionalNumber("gid")),
  };
  table.end();
  return node;
}

function mount(table: SpecTable) {
  const [hostPath, containerPath] = [table.string("hostPath"), table.string("containerPath")];
  if (hostPath === "" || containerPath === "") throw new Error("invalid mount, empty path");
  const found = {
    hostPath,
    containerPath,
    options: table.strings("options"),
    type: table.optionalString("type") ?? "",
  };
  table.end();
  return found;
}

function hook(table: SpecTable): ContainerHook {
  const text = table.string("hookName");
  const hookName = hookNames.find((name) => name === text);
  if (hookName === undefined) throw new Error(`invalid hook name ${JSON.stringify(text)}`);
  const path = table.string("path");
  if (path === "") throw new Error(`invalid hook ${JSON.stringify(text)} with empty path`);
  const [args, env] = [table.strings("args"), environment(table)];
  const found = {
    hookName,
    path,
    ...optional("args", args.length === 0 ? undefined : args),
    ...optional("env", env.length === 0 ? undefined : env),
    ...optional("timeout", table.optionalNumber("timeout")),
  };
  table.end();
  return found;
}

function netDevice(table: SpecTable) {
  const found = { hostInterfaceName: table.string("hostInterfaceName"), name: table.string("name") };
  table.end();
  if (found.hostInterfaceName === "" || found.name === "") throw new Error("invalid linux net device, empty name");
  return found;
}

function optional<K extends string, V>(key: K, value: V | undefined): { readonly [key in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [key in K]?: V });
}
