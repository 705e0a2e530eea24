/** Go's os.FileMode bits, as fsutil puts them on the wire, and Unix st_mode. */
export const GoMode = {
  dir: 0x8000_0000,
  symlink: 0x0800_0000,
  device: 0x0400_0000,
  namedPipe: 0x0200_0000,
  socket: 0x0100_0000,
  setuid: 0x0080_0000,
  setgid: 0x0040_0000,
  charDevice: 0x0020_0000,
  sticky: 0x0010_0000,
  irregular: 0x0008_0000,
} as const;

/** dir | symlink | named pipe | socket | device | char device | irregular. */
const goTypeMask = 0x8f28_0000;

export const S_IFMT = 0o170000;
export const S_IFDIR = 0o040000;
export const S_IFREG = 0o100000;
export const S_IFLNK = 0o120000;
export const S_IFCHR = 0o020000;
export const S_IFBLK = 0o060000;
export const S_IFIFO = 0o010000;
export const S_IFSOCK = 0o140000;

export function isGoDir(mode: number): boolean {
  return (mode & GoMode.dir) !== 0;
}

export function isGoSymlink(mode: number): boolean {
  return (mode & GoMode.symlink) !== 0;
}

/** No type bit at all. */
export function isGoRegular(mode: number): boolean {
  return (mode & goTypeMask) === 0;
}

/** st_mode → os.FileMode (unsigned 32 bit). */
export function toGoMode(st: number): number {
  let mode = st & 0o777;
  switch (st & S_IFMT) {
    case S_IFDIR:
      mode |= GoMode.dir;
      break;
    case S_IFLNK:
      mode |= GoMode.symlink;
      break;
    case S_IFBLK:
      mode |= GoMode.device;
      break;
    case S_IFCHR:
      mode |= GoMode.device | GoMode.charDevice;
      break;
    case S_IFIFO:
      mode |= GoMode.namedPipe;
      break;
    case S_IFSOCK:
      mode |= GoMode.socket;
      break;
  }
  if ((st & 0o4000) !== 0) mode |= GoMode.setuid;
  if ((st & 0o2000) !== 0) mode |= GoMode.setgid;
  if ((st & 0o1000) !== 0) mode |= GoMode.sticky;
  return mode >>> 0;
}

/** os.FileMode → permission bits with setuid, setgid and sticky, as chmod takes them. */
export function goPermissions(mode: number): number {
  let bits = mode & 0o777;
  if ((mode & GoMode.setuid) !== 0) bits |= 0o4000;
  if ((mode & GoMode.setgid) !== 0) bits |= 0o2000;
  if ((mode & GoMode.sticky) !== 0) bits |= 0o1000;
  return bits;
}

/** os.FileMode → st_mode. A socket or irregular file counts as a regular one, as on the wire. */
export function fromGoMode(mode: number): number {
  const bits = goPermissions(mode);
  if ((mode & GoMode.dir) !== 0) return bits | S_IFDIR;
  if ((mode & GoMode.symlink) !== 0) return bits | S_IFLNK;
  if ((mode & GoMode.charDevice) !== 0) return bits | S_IFCHR;
  if ((mode & GoMode.device) !== 0) return bits | S_IFBLK;
  if ((mode & GoMode.namedPipe) !== 0) return bits | S_IFIFO;
  return bits | S_IFREG;
}

/** Linux device number parts (glibc gnu_dev_major, gnu_dev_minor). */
export function deviceMajor(rdev: number): number {
  return (Math.floor(rdev / 0x100) & 0xfff) + (Math.floor(rdev / 0x1_0000_0000) & 0xffff_f000);
}

export function deviceMinor(rdev: number): number {
  return (rdev & 0xff) + (Math.floor(rdev / 0x1000) & 0xfff_ff00);
}
