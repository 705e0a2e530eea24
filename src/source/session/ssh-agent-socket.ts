import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BytesMessage, CheckAgentRequest } from "../../api/gen/ssh.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { SessionCaller, SessionGroup } from "../../core/seams/session-caller.ts";
import { sourceError } from "../source-identifier.ts";
import { unaryCall } from "./session-call.ts";

const service = "/moby.sshforward.v1.SSH";

/** A unix socket on this machine behind which a client's SSH agent answers (map b9). Disposing ends all connections. */
export interface SshAgentSocket extends AsyncDisposable {
  readonly path: string;
}

/** @throws BuildError `no SSH key "default" forwarded from the client` */
export async function openSshAgentSocket(
  sessions: SessionGroup,
  agentId: string,
  signal: AbortSignal,
): Promise<SshAgentSocket> {
  const caller = await sessions.any(
    async (candidate) => {
      try {
        const request = CheckAgentRequest.encode({ ID: agentId }).finish();
        await unaryCall(candidate, `${service}/CheckAgent`, request, { signal });
        return candidate;
      } catch (error) {
        if (error instanceof BuildError && error.code === Code.Unimplemented) {
          throw sourceError(`no SSH key ${JSON.stringify(agentId)} forwarded from the client`, error);
        }
        throw error;
      }
    },
    { signal },
  );
  const directory = await mkdtemp(join(tmpdir(), "ssh-agent-"));
  const abort = new AbortController();
  const open = new Set<Promise<void>>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const done = forward(caller, agentId, socket, AbortSignal.any([signal, abort.signal])).catch(() => {});
    open.add(done);
    void done.then(() => open.delete(done));
  });
  const path = join(directory, "agent.sock");
  const dispose = async () => {
    abort.abort(new Error("the agent socket was closed"));
    await new Promise<void>((resolve) => server.close(() => resolve()));
    await Promise.all(open);
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(path, resolve);
    });
  } catch (error) {
    await dispose();
    throw error;
  }
  return { path, [Symbol.asyncDispose]: dispose };
}

async function forward(caller: SessionCaller, agentId: string, socket: Socket, signal: AbortSignal): Promise<void> {
  socket.on("error", () => {});
  await using stream = caller.open(`${service}/ForwardAgent`, {
    metadata: { "buildkit.ssh.id": [agentId] },
    signal,
  });
  // Whichever side goes first takes the other along.
  const end = () => {
    socket.destroy();
    stream.cancel();
  };
  signal.addEventListener("abort", end, { once: true });
  socket.once("close", end);
  try {
    const upwards = (async () => {
      for await (const data of socket.iterator({ destroyOnReturn: false })) {
        await stream.send(BytesMessage.encode({ data: data as Uint8Array }).finish());
      }
      stream.closeSend();
    })();
    upwards.catch(end);
    for await (const message of stream.messages) {
      if (socket.write(BytesMessage.decode(message).data) || socket.destroyed) continue;
      await new Promise<void>((resolve) => {
        socket.once("drain", resolve);
        socket.once("close", () => resolve());
      });
    }
    if (!socket.destroyed) {
      await new Promise<void>((resolve) => {
        socket.once("close", () => resolve());
        socket.end(() => resolve());
      });
    }
  } finally {
    signal.removeEventListener("abort", end);
    end();
  }
}
