import { closeSync, lstatSync, openSync, readFileSync } from "node:fs";
import { type BytePath, fsPath } from "./byte-path.ts";
import { attempt, errnoOf } from "./fs-error.ts";
import { resolveInRoot } from "./resolve-in-root.ts";

const maxUserFileBytes = 10 << 20;

/** Ids of a user in a root's `/etc/passwd`; undefined when the file or the name is missing. */
export function lookupUser(root: BytePath, name: string): { readonly uid: number; readonly gid: number } | undefined {
  const fields = findRecord(root, "/etc/passwd", name);
  return fields === undefined ? undefined : { uid: atoi(fields[2]), gid: atoi(fields[3]) };
}

/** Id of a group in a root's `/etc/group`; undefined when the file or the name is missing. */
export function lookupGroup(root: BytePath, name: string): number | undefined {
  const fields = findRecord(root, "/etc/group", name);
  return fields === undefined ? undefined : atoi(fields[2]);
}

function findRecord(root: BytePath, path: string, name: string): readonly string[] | undefined {
  const content = readUserFile(root, path);
  for (const raw of content?.split("\n") ?? []) {
    const line = raw.trim();
    if (line === "" || (path === "/etc/group" && line.startsWith("#"))) continue;
    const fields = line.split(":");
    if (fields[0] === name) return fields;
  }
  return undefined;
}

/** @throws Error when it is no regular file or larger than 10 MiB */
function readUserFile(root: BytePath, path: string): string | undefined {
  try {
    const full = resolveInRoot(root, path);
    // lstat before open: opening a FIFO would wait for a writer.
    const stats = attempt("open", full, () => lstatSync(fsPath(full)));
    if (!stats.isFile()) throw new Error(`${path} is not a regular file`);
    if (stats.size > maxUserFileBytes) throw new Error(`"${path}" exceeds ${maxUserFileBytes} bytes`);
    const fd = openSync(fsPath(full), "r");
    try {
      return readFileSync(fd, "utf8");
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    const code = errnoOf(error);
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}

/** Go `strconv.Atoi` with errors ignored: what is no number is 0. */
function atoi(text: string | undefined): number {
  return text !== undefined && /^[+-]?[0-9]+$/.test(text) ? Number.parseInt(text, 10) : 0;
}
