import type { Socket } from "node:net";
import { BytesMessage, CheckAgentRequest } from "../api/gen/ssh.ts";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { SessionCaller, SessionGroup } from "../core/seams/session-caller.ts";
import { unaryCall } from "./unary-call.ts";

const checkMethod = "/moby.sshforward.v1.SSH/CheckAgent";
const forwardMethod = "/moby.sshforward.v1.SSH/ForwardAgent";
const idMetadata = "buildkit.ssh.id";
const defaultId = "default";
const maxChunkBytes = 32 << 10;

/**
 * The session that forwards the agent `id` (BuildKit solver/llbsolver/mounts/mount.go getSSHMountable).
 * @returns undefined when none does and it is optional
 * @throws BuildError otherwise
 */
export async function findSshAgent(
  sessions: SessionGroup,
  id: string,
  options: { readonly optional: boolean; readonly signal: AbortSignal },
): Promise<SessionCaller | undefined> {
  const { optional, signal } = options;
  const request = CheckAgentRequest.encode({ ID: id }).finish();
  return sessions.any(
    async (caller) => {
      try {
        await unaryCall(caller, checkMethod, request, { signal });
        return caller;
      } catch (error) {
        signal.throwIfAborted();
        if (optional) return undefined;
        if (error instanceof BuildError && error.code === Code.Unimplemented) {
          throw new BuildError(Code.Unknown, `no SSH key ${JSON.stringify(id)} forwarded from the client`, {
            cause: error,
          });
        }
        throw error;
      }
    },
    { signal },
  );
}

/** Joins one connection to the agent socket with the client's agent until either side is done. Destroys the connection. */
export async function forwardSshConnection(
  caller: SessionCaller,
  id: string,
  connection: Socket,
  signal: AbortSignal,
): Promise<void> {
  await using stream = caller.open(forwardMethod, {
    metadata: { [idMetadata]: [id === "" ? defaultId : id] },
    signal,
  });
  const toClient = async () => {
    for await (const chunk of connection) {
      for (let at = 0; at < chunk.length; at += maxChunkBytes) {
        await stream.send(BytesMessage.encode({ data: chunk.subarray(at, at + maxChunkBytes) }).finish());
      }
    }
    stream.closeSend();
  };
  const fromClient = async () => {
    for await (const message of stream.messages) {
      const { data } = BytesMessage.decode(message);
      if (!connection.write(data)) await drained(connection);
    }
    connection.end();
  };
  try {
    const sending = toClient();
    // Whoever fails first ends the other: by the connection, or by the stream when this function is left.
    sending.catch(() => connection.destroy());
    await fromClient();
    await sending;
  } finally {
    connection.destroy();
  }
}

function drained(connection: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      connection.off("drain", done).off("close", done);
      resolve();
    };
    connection.on("drain", done).on("close", done);
  });
}
