import { stat } from "node:fs/promises";
import net, { type Socket } from "node:net";
import { pipeline } from "node:stream/promises";
import { CheckAgentRequest, CheckAgentResponse } from "../../api/gen/ssh.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { BytesDuplex, type GrpcServer, metadataValue, type ServerCall, unary } from "../../grpc/index.ts";
import type { SessionService } from "./session-service.ts";
import { SshAgentFilter } from "./ssh-agent-filter.ts";

/** One `--ssh`. */
export interface SshForward {
  /** `default` when the user gave none. */
  readonly id: string;
  /** Sockets or key files; empty = the user's agent. */
  readonly paths: readonly string[];
  /** Pass bytes as they are, whatever protocol the socket speaks. */
  readonly raw: boolean;
}

interface Forwarded {
  readonly socket: string;
  readonly raw: boolean;
}

/** `moby.sshforward.v1.SSH` (map b9): lets steps use the user's agent to list keys and sign, and for nothing else. */
export class SshService implements SessionService {
  readonly #forwards: ReadonlyMap<string, Forwarded>;

  private constructor(forwards: ReadonlyMap<string, Forwarded>) {
    this.#forwards = forwards;
  }

  /** @throws BuildError when there is no such socket */
  static async open(forwards: readonly SshForward[], env = process.env): Promise<SshService> {
    const opened = new Map<string, Forwarded>();
    for (const { id, paths, raw } of forwards) {
      if (opened.has(id)) throw new BuildError(Code.InvalidArgument, `duplicate agent ID ${JSON.stringify(id)}`);
      if (paths.length > 1) {
        throw new BuildError(Code.InvalidArgument, `ssh ${JSON.stringify(id)}: only single socket allowed`);
      }
      const socket = paths[0] || env["SSH_AUTH_SOCK"] || "";
      if (socket === "") {
        throw new BuildError(Code.InvalidArgument, "invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set");
      }
      await checkSocket(socket);
      opened.set(id, { socket, raw });
    }
    return new SshService(opened);
  }

  register(server: GrpcServer): void {
    server.handle(
      "/moby.sshforward.v1.SSH/CheckAgent",
      unary(CheckAgentRequest, CheckAgentResponse, (request) => {
        this.#find(request.ID);
        return {};
      }),
    );
    server.handle("/moby.sshforward.v1.SSH/ForwardAgent", (call) => this.#forward(call));
  }

  #find(id: string): Forwarded {
    const name = id === "" ? "default" : id;
    const found = this.#forwards.get(name);
    if (found === undefined) throw new BuildError(Code.Unknown, `unset ssh forward key ${name}`);
    return found;
  }

  async #forward(call: ServerCall): Promise<void> {
    const { socket: path, raw } = this.#find(metadataValue(call.metadata, "buildkit.ssh.id") ?? "");
    const socket = await connect(path);
    const tunnel = new BytesDuplex(call);
    try {
      const requests = raw ? [] : [new SshAgentFilter((refusal) => tunnel.write(refusal))];
      await Promise.all([
        pipeline([tunnel, ...requests, socket], { signal: call.signal }),
        // The step's end of the agent connection closing ends the call, not an error.
        pipeline(socket, tunnel, { signal: call.signal }),
      ]);
    } finally {
      socket.destroy();
      tunnel.destroy();
    }
  }
}

async function checkSocket(path: string): Promise<void> {
  let found: Awaited<ReturnType<typeof stat>>;
  try {
    found = await stat(path);
  } catch (error) {
    throw new BuildError(Code.NotFound, `cannot forward ssh agent: no socket ${path}`, { cause: error });
  }
  if (!found.isSocket()) {
    throw new BuildError(
      Code.InvalidArgument,
      `cannot forward ${path}: only agent sockets are supported; add the key to an agent with ssh-add`,
    );
  }
}

async function connect(path: string): Promise<Socket> {
  const socket = net.connect(path);
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", (error) =>
      reject(new BuildError(Code.Unknown, `failed to connect to ${path}: ${error.message}`, { cause: error })),
    );
  });
  return socket;
}
