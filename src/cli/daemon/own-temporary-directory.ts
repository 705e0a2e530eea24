import { mkdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";

/** Bytes that a unix socket's path may have (unix(7): sun_path, with its final zero). */
const maxSocketPathBytes = 107;
/** `/<prefix>-XXXXXX/<socket>`: what this program puts into its temporary directory. */
const roomForSockets = 40;

/**
 * From now on this process has its temporary files in its state directory, where what a killed one left there is deleted. Not
 * so when the directory's path leaves no room for sockets. The caller holds the state's lock.
 */
export async function useOwnTemporaryDirectory(stateDirectory: string): Promise<void> {
  const path = join(resolve(stateDirectory), "tmp");
  if (Buffer.byteLength(path) + roomForSockets > maxSocketPathBytes) return;
  await rm(path, { recursive: true, force: true });
  await mkdir(path, { mode: 0o711 });
  process.env["TMPDIR"] = path;
}
