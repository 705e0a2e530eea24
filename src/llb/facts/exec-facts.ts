import { type ExecOp, type Mount, MountContentCache, MountType, NetMode, SecurityMode } from "../../api/gen/ops.ts";
import { keyedExec } from "../cache-keys/index.ts";
import type { OpFacts } from "./op-facts.ts";

export function execFacts(op: ExecOp): OpFacts {
  const keyed = keyedExec(op);
  const facts: Record<string, string> = {};
  const note = (name: string, text: string) => {
    if (text !== "") facts[name] = text;
  };
  const { meta } = keyed;
  Object.assign(facts, commandFacts(meta?.args ?? []));
  for (const variable of meta?.env ?? []) {
    const [name = "", ...value] = variable.split("=");
    facts[`variable ${name}`] = value.join("=");
  }
  note("working directory", meta?.cwd ?? "");
  note("user", meta?.user ?? "");
  note("host name", meta?.hostname ?? "");
  note("cgroup parent", meta?.cgroupParent ?? "");
  note("exit codes", (meta?.validExitCodes ?? []).join(", "));
  for (const { Host } of meta?.extraHosts ?? []) facts[`extra host ${Host}`] = "given";
  for (const { Name, Soft, Hard } of meta?.ulimit ?? []) facts[`ulimit ${Name}`] = `${Soft}:${Hard}`;
  if (meta?.removeMountStubsRecursive) facts["mount stubs"] = "removed with their directories";
  note("network", op.network === NetMode.HOST ? "host" : op.network === NetMode.NONE ? "none" : "");
  note("security", op.security === SecurityMode.INSECURE ? "insecure" : "");
  for (const { name, ID, optional } of op.secretenv) facts[`secret variable ${name}`] = named(ID, optional);
  for (const { name, optional } of op.cdiDevices) facts[`device ${name}`] = optional ? "optional" : "required";
  for (const [index, mount] of keyed.mounts.entries()) {
    facts[`mount ${mount.dest}`] = mountText({ ...mount, selector: op.mounts[index]?.selector ?? "" });
  }
  return facts;
}

/** `sh -c` is told apart from what it runs. */
function commandFacts(args: readonly string[]): OpFacts {
  const script = args.at(-1);
  if (args.length > 2 && args.at(-2) === "-c" && script !== undefined) {
    return { command: script, shell: args.slice(0, -1).join(" ") };
  }
  return { command: args.map((arg) => (/^[\w@%+=:,./-]+$/.test(arg) ? arg : JSON.stringify(arg))).join(" ") };
}

function mountText(mount: Mount): string {
  const { input, selector, readonly, mountType, TmpfsOpt, secretOpt, SSHOpt, output } = mount;
  const parts: string[] = [typeNames[mountType]];
  if (secretOpt !== undefined) parts.push(named(secretOpt.ID, secretOpt.optional), ownerText(secretOpt));
  if (SSHOpt !== undefined) parts.push(named(SSHOpt.ID, SSHOpt.optional), ownerText(SSHOpt));
  if (mountType === MountType.CACHE) parts.push(cacheText(mount));
  if ((TmpfsOpt?.size ?? 0) > 0) parts.push(`size ${TmpfsOpt?.size}`);
  if (input >= 0) parts.push(`from input #${input + 1}`);
  if (selector !== "" && selector !== "/") parts.push(`path ${selector}`);
  if (readonly) parts.push("read-only");
  if (output > 0) parts.push(`output ${output}`);
  if (mount.contentCache === MountContentCache.ON) parts.push("keyed by content");
  if (mount.contentCache === MountContentCache.OFF) parts.push("not keyed by content");
  if (mount.resultID !== "") parts.push(`result ${mount.resultID}`);
  return parts.filter((part) => part !== "").join(", ");
}

const typeNames = {
  [MountType.BIND]: "bind",
  [MountType.SECRET]: "secret",
  [MountType.SSH]: "ssh",
  [MountType.CACHE]: "cache",
  [MountType.TMPFS]: "tmpfs",
} as const satisfies Record<MountType, string>;

/** Of ids and sharing no more enters the key than this. */
function cacheText({ cacheOpt, dest }: Mount): string {
  return cacheOpt?.ID === undefined || cacheOpt.ID === "" ? "id or sharing of its own" : `default id ${dest}`;
}

function named(id: string, optional: boolean): string {
  return `id ${id}${optional ? " (optional)" : ""}`;
}

function ownerText({ uid, gid, mode }: { readonly uid: number; readonly gid: number; readonly mode: number }): string {
  return `owner ${uid}:${gid} mode 0${mode.toString(8)}`;
}
