import { chown, lstat, mkdir, readFile, unlink } from "node:fs/promises";
import net, { type AddressInfo } from "node:net";
import { dirname } from "node:path";
import tls from "node:tls";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { GrpcServer } from "./grpc-server.ts";

export interface ListenOptions {
  /** TLS for `tcp://`; `ca` makes client certificates mandatory. PEM texts. */
  readonly tls?: { readonly cert: string | Buffer; readonly key: string | Buffer; readonly ca?: string | Buffer };
  /** Group that may use a unix socket besides root: name or id. */
  readonly socketGroup?: string;
  /** Environment for `fd://`; default the process's own. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** One listening address of a server. Disposing stops listening; open connections go on. */
export interface GrpcListener extends AsyncDisposable {
  /** The address with the real port: `tcp://127.0.0.1:41234`. */
  readonly address: string;
}

/**
 * Listens for a server on `unix:///run/x.sock`, `tcp://127.0.0.1:1234` or `fd://` (sockets passed by systemd, optionally
 * `fd://3` or `fd://name`). A unix socket gets mode 0660; one that nobody serves any more is replaced.
 * @throws BuildError InvalidArgument for addresses that make no sense, AlreadyExists when somebody else listens there
 */
export async function listenGrpc(
  server: GrpcServer,
  address: string,
  options: ListenOptions = {},
): Promise<GrpcListener> {
  const { scheme, rest } = splitAddress(address);
  const acceptor =
    options.tls !== undefined && scheme === "tcp" ? tlsAcceptor(server, options.tls) : plainAcceptor(server);
  switch (scheme) {
    case "unix":
      await listenUnix(acceptor, rest, options.socketGroup);
      return listener(acceptor, address);
    case "tcp": {
      const { host, port } = hostPort(address, rest);
      await bound(acceptor, address, () => acceptor.listen({ host, port }));
      const at = acceptor.address() as AddressInfo;
      return listener(acceptor, `tcp://${at.family === "IPv6" ? `[${at.address}]` : at.address}:${at.port}`);
    }
    case "fd": {
      const fd = passedFd(rest, options.env ?? process.env);
      await bound(acceptor, address, () => acceptor.listen({ fd }));
      return listener(acceptor, address);
    }
    default:
      throw new BuildError(Code.InvalidArgument, `addr ${JSON.stringify(address)} not supported`);
  }
}

function plainAcceptor(server: GrpcServer): net.Server {
  return net.createServer({ noDelay: true }, (socket) => accept(server, socket));
}

/**
 * Accepts clients without ALPN as well: buildx's remote driver sends none, and node:http2's own secure server then drops the
 * socket. Only h2 is spoken here, so there is nothing to choose.
 */
function tlsAcceptor(server: GrpcServer, options: NonNullable<ListenOptions["tls"]>): net.Server {
  const acceptor = tls.createServer({
    cert: options.cert,
    key: options.key,
    ALPNProtocols: ["h2"],
    minVersion: "TLSv1.2",
    ...(options.ca === undefined ? {} : { ca: options.ca, requestCert: true, rejectUnauthorized: true }),
  });
  acceptor.on("secureConnection", (socket) => {
    socket.setNoDelay(true);
    accept(server, socket);
  });
  acceptor.on("tlsClientError", (_error, socket) => socket.destroy());
  return acceptor;
}

function accept(server: GrpcServer, socket: net.Socket): void {
  socket.on("error", () => socket.destroy());
  void server.serveDuplex(socket);
}

function listener(acceptor: net.Server, address: string): GrpcListener {
  return {
    address,
    async [Symbol.asyncDispose]() {
      // `close` waits for open connections; those belong to the GrpcServer and end with it.
      acceptor.close();
    },
  };
}

async function listenUnix(acceptor: net.Server, path: string, group: string | undefined): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o711 });
  await removeStaleSocket(path);
  // The socket must never exist with a wider mode, not even for a moment; listen binds before it returns.
  const umask = process.umask(0o117);
  let listening: Promise<void>;
  try {
    listening = bound(acceptor, path, () => acceptor.listen({ path }));
  } finally {
    process.umask(umask);
  }
  await listening;
  if (group !== undefined) await chown(path, process.getuid?.() ?? 0, await groupId(group));
}

/** A socket file that is left from a killed process answers "connection refused"; a live one accepts. */
async function removeStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) throw new BuildError(Code.AlreadyExists, `cannot listen on ${path}: not a socket`);
  const live = await new Promise<boolean>((resolve) => {
    const probe = net.connect(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
  });
  if (live) throw new BuildError(Code.AlreadyExists, `cannot listen on ${path}: address already in use`);
  await unlink(path).catch(() => {});
}

async function groupId(group: string): Promise<number> {
  if (/^[0-9]+$/.test(group)) return Number(group);
  for (const line of (await readFile("/etc/group", "utf8")).split("\n")) {
    const [name, , id] = line.split(":");
    if (name === group && id !== undefined) return Number(id);
  }
  throw new BuildError(Code.InvalidArgument, `group ${JSON.stringify(group)} does not exist`);
}

/** File descriptor passed by systemd: LISTEN_FDS of them from 3 on (sd_listen_fds(3)). */
function passedFd(rest: string, env: Readonly<Record<string, string | undefined>>): number {
  const count = Number(env["LISTEN_FDS"] ?? 0);
  const forUs = env["LISTEN_PID"] === undefined || Number(env["LISTEN_PID"]) === process.pid;
  if (!forUs || !(count > 0)) throw new BuildError(Code.InvalidArgument, "no sockets found via socket activation");
  const name = rest.replace(/^\/+|\/+$/g, "");
  const names = (env["LISTEN_FDNAMES"] ?? "").split(":");
  const index = name === "" ? 0 : names.includes(name) ? names.indexOf(name) : Number(name) - 3;
  if (!Number.isInteger(index) || index < 0 || index >= count) {
    throw new BuildError(
      Code.InvalidArgument,
      `socket activation passed no descriptor ${JSON.stringify(name)} (${count} in all)`,
    );
  }
  return 3 + index;
}

function splitAddress(address: string): { scheme: string; rest: string } {
  const at = address.indexOf("://");
  if (at < 0) {
    throw new BuildError(
      Code.InvalidArgument,
      `address ${address} does not contain proto, you meant unix://${address} ?`,
    );
  }
  return { scheme: address.slice(0, at), rest: address.slice(at + 3) };
}

function hostPort(address: string, rest: string): { host: string; port: number } {
  const match = /^(\[[^\]]+\]|[^:]*):([0-9]+)$/.exec(rest);
  if (match === null) throw new BuildError(Code.InvalidArgument, `address ${address} has no port`);
  const host = (match[1] ?? "").replace(/^\[|\]$/g, "");
  return { host: host === "" ? "::" : host, port: Number(match[2]) };
}

function bound(acceptor: net.Server, address: string, listen: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    acceptor.once("error", (error: NodeJS.ErrnoException) =>
      reject(
        new BuildError(
          error.code === "EADDRINUSE" ? Code.AlreadyExists : Code.Unavailable,
          `cannot listen on ${address}: ${error.message}`,
          { cause: error },
        ),
      ),
    );
    acceptor.once("listening", resolve);
    listen();
  });
}
