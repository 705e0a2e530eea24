import { once } from "node:events";
import { chmod, chown, mkdtemp, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SSHOpt } from "../../../api/gen/ops.ts";
import type { SessionCaller } from "../../../core/seams/session-caller.ts";
import { forwardSshConnection } from "../../../session-services/index.ts";

/** A unix socket which speaks to the agent of the build's client (BuildKit session/sshforward/ssh.go MountSSHSocket). */
export interface SshSocket extends AsyncDisposable {
  readonly path: string;
}

export async function listenForSsh(
  caller: SessionCaller,
  options: Pick<SSHOpt, "ID" | "uid" | "gid" | "mode">,
  signal: AbortSignal,
): Promise<SshSocket> {
  // Not in the agent's state directory: the path of a unix socket must be short.
  const directory = await mkdtemp(join(tmpdir(), "buildfleet-ssh-"));
  const path = join(directory, "agent");
  const closed = new AbortController();
  const until = AbortSignal.any([signal, closed.signal]);
  const connections = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (connection) => {
    connections.add(connection);
    connection.on("error", () => {}).on("close", () => connections.delete(connection));
    // What goes wrong on one connection is that connection's affair; the program sees it end.
    forwardSshConnection(caller, options.ID, connection, until).catch(() => connection.destroy());
  });
  const close = async () => {
    closed.abort();
    for (const connection of connections) connection.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await chmod(directory, 0o711);
    server.listen(path);
    await once(server, "listening");
    await chown(path, options.uid, options.gid);
    await chmod(path, options.mode & 0o777);
  } catch (error) {
    await close();
    throw error;
  }
  return { path, [Symbol.asyncDispose]: close };
}
