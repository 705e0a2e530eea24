import {
  chmodSync,
  closeSync,
  fchmodSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  rmSync,
  symlinkSync,
  writeSync,
} from "node:fs";
import { type TarEntry, type TarHeader, TarReader, TarType, xattrsOf } from "../../archive/tar/index.ts";
import {
  attempt,
  attemptWith,
  type BytePath,
  basePath,
  cleanPath,
  dirPath,
  errnoOf,
  fsPath,
  makeDirectories,
  type Owner,
  resolveInRoot,
  textPath,
  writeNode,
  writeTimes,
} from "../../filesystem/index.ts";
import { setXattr } from "../../util/sys/index.ts";

const root: Owner = { uid: 0, gid: 0 };

/**
 * Unpacks an archive as ADD does: into the directory as if it were `/`, so names with `..` and links stay inside; existing
 * files are replaced, directories merged, `.wh.` names are plain names (moby go-archive Untar in a chroot). Directories that
 * the archive leaves out belong to root. File calls are synchronous; run it in a worker.
 * @param owner of all entries instead of their own
 */
export async function extractTar(
  tar: AsyncIterable<Uint8Array>,
  directory: BytePath,
  owner: Owner | undefined,
  checkCancelled: () => void,
): Promise<void> {
  const reader = new TarReader(tar);
  const directories: { readonly path: BytePath; readonly header: TarHeader }[] = [];
  for (;;) {
    checkCancelled();
    const entry = await reader.next();
    if (entry === undefined) break;
    const { header } = entry;
    if (header.type === TarType.Global) continue;
    const path = await extractEntry(entry, directory, owner, checkCancelled);
    if (path !== undefined && header.type === TarType.Directory) directories.push({ path, header });
  }
  for (const { path, header } of directories) setEntryTimes(path, header);
}

/** @returns where the entry is; undefined when there was nothing to do */
async function extractEntry(
  entry: TarEntry,
  directory: BytePath,
  owner: Owner | undefined,
  checkCancelled: () => void,
): Promise<BytePath | undefined> {
  const { header } = entry;
  const name = cleanPath(header.name);
  const inside = cleanPath(`/${name}`);
  const parent = resolveInRoot(directory, dirPath(inside));
  makeDirectories(parent, 0o755, root, undefined);
  const path = inside === "/" ? directory : `${parent}/${basePath(inside)}`;
  const existing = lstatSync(fsPath(path), { throwIfNoEntry: false });
  if (existing !== undefined) {
    if (existing.isDirectory() && name === ".") return undefined;
    if (path === directory && header.type !== TarType.Directory) {
      throw new Error(`cannot replace the target directory with ${JSON.stringify(textPath(header.name))}`);
    }
    if (!existing.isDirectory() || header.type !== TarType.Directory) {
      attempt("unlinkat", path, () => rmSync(fsPath(path), { recursive: true, force: true }));
    }
  }
  await create(entry, path, directory, checkCancelled);
  const { uid, gid } = owner ?? header;
  attemptWith(
    () => `failed to Lchown ${JSON.stringify(textPath(path))} for UID ${header.uid}, GID ${header.gid}`,
    () => attempt("lchown", path, () => lchownSync(fsPath(path), uid, gid)),
  );
  setXattrs(path, header);
  if (header.type !== TarType.Symlink) {
    attempt("chmod", path, () => chmodSync(fsPath(path), header.mode & 0o7777));
  }
  setEntryTimes(path, header);
  return path;
}

async function create(entry: TarEntry, path: BytePath, directory: BytePath, checkCancelled: () => void): Promise<void> {
  const { header } = entry;
  switch (header.type) {
    case TarType.Directory:
      if (lstatSync(fsPath(path), { throwIfNoEntry: false }) === undefined) {
        attempt("mkdir", path, () => mkdirSync(fsPath(path), 0o700));
      }
      return;
    case TarType.File:
      await writeFile(entry, path, checkCancelled);
      return;
    case TarType.HardLink: {
      const target = resolveInRoot(directory, header.linkname, { followLast: false });
      attempt("link", path, () => linkSync(fsPath(target), fsPath(path)));
      return;
    }
    case TarType.Symlink:
      attempt("symlink", path, () => symlinkSync(fsPath(header.linkname), fsPath(path)));
      return;
    case TarType.CharDevice:
    case TarType.BlockDevice:
    case TarType.Fifo: {
      const type = { [TarType.CharDevice]: 0o020000, [TarType.BlockDevice]: 0o060000, [TarType.Fifo]: 0o010000 };
      writeNode(path, type[header.type] | (header.mode & 0o7777), header.devMajor, header.devMinor);
      return;
    }
    default:
      throw new Error(`unhandled tar header type ${header.type.charCodeAt(0)}`);
  }
}

async function writeFile(entry: TarEntry, path: BytePath, checkCancelled: () => void): Promise<void> {
  const fd = attempt("open", path, () => openSync(fsPath(path), "wx", 0o600));
  try {
    for await (const { offset, data } of entry.segments()) {
      checkCancelled();
      for (let done = 0; done < data.length; ) {
        done += attempt("write", path, () => writeSync(fd, data, done, data.length - done, offset + done));
      }
    }
    if (entry.sparse) ftruncateSync(fd, entry.header.size);
    fchmodSync(fd, entry.header.mode & 0o777);
  } finally {
    closeSync(fd);
  }
}

/** An attribute that the file system or the kernel does not allow is left out. */
function setXattrs(path: BytePath, header: TarHeader): void {
  for (const [name, value] of xattrsOf(header)) {
    try {
      setXattr(fsPath(path), Buffer.from(name, "latin1"), Buffer.from(value, "latin1"));
    } catch (error) {
      const code = errnoOf(error);
      if (code !== "ENOTSUP" && code !== "EOPNOTSUPP" && code !== "EPERM") throw error;
    }
  }
}

function setEntryTimes(path: BytePath, { mtimeNs, atimeNs }: TarHeader): void {
  const latest = atimeNs !== undefined && atimeNs > mtimeNs ? atimeNs : mtimeNs;
  writeTimes(path, notBeforeEpoch(mtimeNs), notBeforeEpoch(latest));
}

function notBeforeEpoch(timeNs: bigint): bigint {
  return timeNs < 0n ? 0n : timeNs;
}
