import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { resolveInRoot } from "./resolve-in-root.ts";

export interface ProcessUser {
  readonly uid: number;
  readonly gid: number;
  /** Contains `gid`. */
  readonly additionalGids: readonly number[];
}

interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

const maxFileBytes = 10 << 20;
const maxId = 2 ** 31 - 1;

/**
 * Who a step runs as: `user`, `user:group`, each a name or a number, looked up in the root's /etc/passwd and /etc/group.
 * Two numbers are taken as they are (BuildKit executor/oci/user.go; the look-up is moby/sys/user GetExecUser).
 * @throws BuildError with that look-up's texts
 */
export function lookUpUser(root: string, user: string): ProcessUser {
  const both = /^([^:]*):([^:]*)$/.exec(user);
  const direct = both === null ? undefined : [numericId(both[1] ?? ""), numericId(both[2] ?? "")];
  if (direct?.[0] !== undefined && direct[1] !== undefined) return withGroups(direct[0], direct[1], []);
  try {
    return search(root, user === "" ? "0" : user);
  } catch (error) {
    if (user === "") return withGroups(0, 0, []);
    throw error;
  }
}

function search(root: string, user: string): ProcessUser {
  const at = user.indexOf(":");
  const userPart = at < 0 ? user : user.slice(0, at);
  const groupPart = at < 0 ? "" : user.slice(at + 1);
  const userNumber = integer(userPart);
  const groupNumber = integer(groupPart);

  let uid = 0;
  let gid = 0;
  const entry = readPasswd(root).find((candidate) => {
    if (userPart === "") return candidate.uid === 0;
    return userNumber === undefined ? candidate.name === userPart : candidate.uid === userNumber;
  });
  if (entry !== undefined) {
    ({ uid, gid } = entry);
  } else if (userPart !== "") {
    if (userNumber === undefined) {
      throw new BuildError(Code.Unknown, `unable to find user ${userPart}: no matching entries in passwd file`);
    }
    uid = inRange(userNumber);
  }

  if (groupPart === "") {
    const own = entry === undefined ? [] : readGroups(root).filter((group) => group.members.includes(entry.name));
    return withGroups(
      uid,
      gid,
      own.map((group) => group.gid),
    );
  }
  const group = readGroups(root).find((candidate) =>
    groupNumber === undefined ? candidate.name === groupPart : candidate.gid === groupNumber,
  );
  if (group !== undefined) gid = group.gid;
  else if (groupNumber !== undefined) gid = inRange(groupNumber);
  else throw new BuildError(Code.Unknown, `unable to find group ${groupPart}: no matching entries in group file`);
  return withGroups(uid, gid, []);
}

function withGroups(uid: number, gid: number, groups: readonly number[]): ProcessUser {
  return { uid, gid, additionalGids: groups.includes(gid) ? groups : [gid, ...groups] };
}

function integer(text: string): number | undefined {
  return /^[+-]?\d+$/.test(text) ? Number(text) : undefined;
}

function numericId(text: string): number | undefined {
  if (text === "root") return 0;
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  return value < 2 ** 32 ? value : undefined;
}

function inRange(id: number): number {
  if (id < 0 || id > maxId) throw new BuildError(Code.Unknown, `uids and gids must be in range 0-${maxId}`);
  return id;
}

function readPasswd(root: string): PasswdEntry[] {
  return lines(root, "/etc/passwd").map(([name = "", , uid = "", gid = ""]) => ({
    name,
    uid: integer(uid) ?? 0,
    gid: integer(gid) ?? 0,
  }));
}

function readGroups(root: string): GroupEntry[] {
  return lines(root, "/etc/group").map(([name = "", , gid = "", members = ""]) => ({
    name,
    gid: integer(gid) ?? 0,
    members: members.split(","),
  }));
}

/** Fields of each line. A file that is missing, or is no regular file, has no lines. */
function lines(root: string, path: string): string[][] {
  let fd: number;
  try {
    // Not to be held up by a FIFO.
    fd = openSync(resolveInRoot(root, path), constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return [];
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) return [];
    if (stat.size > maxFileBytes) throw new BuildError(Code.Unknown, `"${path}" exceeds ${maxFileBytes} bytes`);
    return readFileSync(fd, "utf8")
      .split("\n")
      .map((line) => line.trim())
      .filter((line) => line !== "" && !line.startsWith("#"))
      .map((line) => line.split(":"));
  } finally {
    closeSync(fd);
  }
}
