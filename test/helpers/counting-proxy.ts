import { connect, createServer, type Server, type Socket } from "node:net";
import { finished } from "node:stream";

/** Passes connections on to a daemon and counts what clients send. */
export class CountingProxy implements AsyncDisposable {
  /** `tcp://127.0.0.1:<port>` */
  readonly address: string;
  /** Bytes from clients since the start. */
  sent = 0;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;

  private constructor(address: string, server: Server, sockets: Set<Socket>) {
    this.address = address;
    this.#server = server;
    this.#sockets = sockets;
  }

  /** @param target `tcp://host:port` */
  static async listen(target: string): Promise<CountingProxy> {
    const { hostname, port } = new URL(target);
    const sockets = new Set<Socket>();
    const server = createServer({ allowHalfOpen: true }, (client) => {
      const daemon = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
      for (const [one, other] of [
        [client, daemon],
        [daemon, client],
      ] as const) {
        sockets.add(one);
        finished(one, () => {
          sockets.delete(one);
          other.destroySoon();
        });
        one.pipe(other);
      }
      client.on("data", (chunk) => {
        proxy.sent += chunk.length;
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    const proxy = new CountingProxy(`tcp://127.0.0.1:${address.port}`, server, sockets);
    return proxy;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
