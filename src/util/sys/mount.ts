import { closeSync, readFileSync, realpathSync } from "node:fs";
import { hasErrno } from "./errno-error.ts";
import { bind, check, cPath } from "./libc.ts";

const mountCall = bind("mount", "int", ["void *", "void *", "void *", "unsigned long", "void *"]);
const umount2Call = bind("umount2", "int", ["void *", "int"]);

/** Flags of mount(2). */
export const MountFlag = {
  ReadOnly: 1,
  NoSuid: 2,
  NoDev: 4,
  NoExec: 8,
  Remount: 32,
  Bind: 4096,
  Recursive: 16384,
  Private: 1 << 18,
  Slave: 1 << 19,
} as const;

/** mount(2). `data` is limited to one page (4096 bytes) by the kernel. */
export function mount(source: string, target: string, type: string, flags: number, data = ""): void {
  if (Buffer.byteLength(data) > 4095) throw new RangeError(`Mount options of ${target} exceed one page`);
  check("mount", mountCall(cPath(source), cPath(target), cPath(type), flags, cPath(data)), target);
}

/** @param detach MNT_DETACH: disappears now, is freed when the last user is gone */
export function unmount(target: string, detach = false): void {
  check("umount2", umount2Call(cPath(target), detach ? 2 : 0), target);
}

/** Read-only bind mount. */
export function bindReadOnly(source: string, target: string): void {
  mount(source, target, "none", MountFlag.Bind);
  try {
    mount("none", target, "none", MountFlag.Bind | MountFlag.Remount | MountFlag.ReadOnly);
  } catch (error) {
    unmount(target, true);
    throw error;
  }
}

/** Mount points at or below `dir`, deepest last, as /proc/self/mountinfo lists them. */
export function mountsBelow(dir: string): string[] {
  return mountTable()
    .map(({ path }) => path)
    .filter((path) => path === dir || path.startsWith(`${dir}/`));
}

/** What is mounted on a directory, e.g. `/dev/sda1`; undefined when nothing is. */
export function mountSource(dir: string): string | undefined {
  const real = realpathSync(dir);
  return mountTable().findLast(({ path }) => path === real)?.source;
}

/** All mounts, in the order in which they were made (proc(5), mountinfo). */
function mountTable(): { readonly path: string; readonly source: string }[] {
  const lines = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  return lines.filter(Boolean).map((line) => {
    const [mount = "", origin = ""] = line.split(" - ");
    return { path: unescaped(mount.split(" ")[4] ?? ""), source: unescaped(origin.split(" ")[1] ?? "") };
  });
}

function unescaped(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

export interface OverlayMount {
  readonly target: string;
  /** Top first, as in `lowerdir=`. */
  readonly lowers: readonly string[];
  /** Absent = read-only mount; at least two lowers are needed then. */
  readonly writable?: { readonly upper: string; readonly work: string };
  /** Options beside the directories: `volatile`, `index=off` … */
  readonly options: readonly string[];
}

/**
 * Mounts overlayfs. Uses the file descriptor based mount API with one `lowerdir+` per layer (Linux 6.8), so that the number
 * of layers is bounded by overlayfs itself (500) and not by the page that holds mount(2)'s options; falls back to mount(2).
 * Paths must be free of `:`, `,` and `\`.
 */
export function mountOverlay(overlay: OverlayMount): void {
  const paths = [...overlay.lowers, ...(overlay.writable ? Object.values(overlay.writable) : [])];
  const bad = paths.find((path) => /[:,\\]/.test(path));
  if (bad !== undefined) throw new RangeError(`Overlay directory ${JSON.stringify(bad)} holds one of , : \\`);
  const data = optionString(overlay);
  const short = Buffer.byteLength(data) <= 4095;
  if (short) {
    mount("overlay", overlay.target, "overlay", overlay.writable ? 0 : MountFlag.ReadOnly, data);
    return;
  }
  mountByDescriptor(overlay);
}

function optionString(overlay: OverlayMount): string {
  const options = [`lowerdir=${overlay.lowers.join(":")}`];
  if (overlay.writable) options.push(`upperdir=${overlay.writable.upper}`, `workdir=${overlay.writable.work}`);
  return [...options, ...overlay.options].join(",");
}

/** System call numbers are the same on every architecture since Linux 5.1 (syscall_64.tbl, unistd.h). */
const SYS_move_mount = 429;
const SYS_fsopen = 430;
const SYS_fsconfig = 431;
const SYS_fsmount = 432;
const FSCONFIG_SET_FLAG = 0;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;
const CLOEXEC = 1;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const MOUNT_ATTR_RDONLY = 1;
const AT_FDCWD = -100;

const fsopen = bind("syscall", "long", ["long", "void *", "uint32_t"]);
const fsconfig = bind("syscall", "long", ["long", "int", "uint32_t", "void *", "void *", "int"]);
const fsmount = bind("syscall", "long", ["long", "int", "uint32_t", "uint32_t"]);
const moveMount = bind("syscall", "long", ["long", "int", "void *", "int", "void *", "uint32_t"]);

function mountByDescriptor(overlay: OverlayMount): void {
  const fd = check("fsopen", fsopen(SYS_fsopen, cPath("overlay"), CLOEXEC));
  try {
    const set = (key: string, value: string) =>
      check("fsconfig", fsconfig(SYS_fsconfig, fd, FSCONFIG_SET_STRING, cPath(key), cPath(value), 0), value);
    for (const lower of overlay.lowers) set("lowerdir+", lower);
    if (overlay.writable) {
      set("upperdir", overlay.writable.upper);
      set("workdir", overlay.writable.work);
    }
    for (const option of overlay.options) {
      const [key = "", value] = option.split("=");
      if (value !== undefined) set(key, value);
      else check("fsconfig", fsconfig(SYS_fsconfig, fd, FSCONFIG_SET_FLAG, cPath(key), null, 0), option);
    }
    check("fsconfig", fsconfig(SYS_fsconfig, fd, FSCONFIG_CMD_CREATE, null, null, 0), overlay.target);
    const attributes = overlay.writable ? 0 : MOUNT_ATTR_RDONLY;
    const mountFd = check("fsmount", fsmount(SYS_fsmount, fd, CLOEXEC, attributes), overlay.target);
    try {
      const empty = cPath("");
      const target = cPath(overlay.target);
      check("move_mount", moveMount(SYS_move_mount, mountFd, empty, AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH));
    } finally {
      closeSync(mountFd);
    }
  } finally {
    closeSync(fd);
  }
}

/** Unmounts what is there; no error when nothing is mounted. A busy mount is detached. */
export function unmountQuietly(target: string): void {
  try {
    unmount(target);
  } catch (error) {
    if (hasErrno(error, "EINVAL", "ENOENT")) return;
    unmount(target, true);
  }
}
