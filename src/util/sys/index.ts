export { type ByteString, byteString, byteStringFrom, joinBytes, toBytes, toText } from "./byte-string.ts";
export { errnoError, hasErrno } from "./errno-error.ts";
export { bind, type SysPath } from "./libc.ts";
export {
  bindReadOnly,
  MountFlag,
  mount,
  mountOverlay,
  mountSource,
  mountsBelow,
  type OverlayMount,
  unmount,
  unmountQuietly,
} from "./mount.ts";
export { deviceMajor, deviceMinor, makeDevice, makeNode, renameExactly } from "./node.ts";
export { setTimes } from "./times.ts";
export { getXattr, listXattrs, removeXattr, setXattr } from "./xattr.ts";
