import { createServer, type IncomingMessage, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Transform } from "node:stream";

/** What the proxy does instead of passing an exchange on unchanged. */
export type Fault =
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string }
  /** Breaks the connection after so many bytes of the answer's body. */
  | { readonly cutAfterBytes: number }
  /** Changes one byte of the answer's body. */
  | { readonly corrupt: true };

/** Decides about one exchange. `attempt` counts from 1 for the same method and path. */
export type FaultRule = (message: IncomingMessage, attempt: number) => Fault | undefined;

/** Stands in front of an HTTP server and does what networks and overloaded servers do. */
export class FaultyProxy implements AsyncDisposable {
  /** `host:port` */
  readonly address: string;
  /** `METHOD path` of every request, in order. */
  readonly seen: string[] = [];
  rule: FaultRule = () => undefined;
  readonly #server: Server;
  readonly #attempts = new Map<string, number>();

  private constructor(server: Server, address: string) {
    this.#server = server;
    this.address = address;
  }

  /** @param target `host:port` of the real server */
  static async start(target: string, host: string): Promise<FaultyProxy> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, host, resolve));
    const proxy = new FaultyProxy(server, `${host}:${(server.address() as AddressInfo).port}`);
    const [targetHost, targetPort] = target.split(":");
    server.on("request", (message, response) => {
      const name = `${message.method} ${message.url?.split("?")[0]}`;
      const attempt = (proxy.#attempts.get(name) ?? 0) + 1;
      proxy.#attempts.set(name, attempt);
      proxy.seen.push(name);
      const fault = proxy.rule(message, attempt);
      if (fault !== undefined && "status" in fault) {
        message.resume();
        response.writeHead(fault.status, fault.headers).end(fault.body);
        return;
      }
      const options = {
        host: targetHost,
        port: targetPort,
        method: message.method,
        path: message.url,
        // The Host header stays: the registry builds its upload addresses from it, and they must come through here.
        headers: message.headers,
      };
      const upstream = request(options, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        if (fault === undefined) answer.pipe(response);
        else answer.pipe(damage(fault, () => response.destroy())).pipe(response);
      });
      upstream.on("error", () => response.destroy());
      message.pipe(upstream);
    });
    return proxy;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

function damage(fault: Exclude<Fault, { status: number }>, cut: () => void): Transform {
  let passed = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const data = Buffer.from(chunk);
      if ("corrupt" in fault) {
        if (passed === 0 && data.length > 0) data[data.length - 1] = (data.at(-1) ?? 0) ^ 0xff;
      } else if (passed + data.length > fault.cutAfterBytes) {
        cut();
        return;
      }
      passed += data.length;
      done(null, data);
    },
  });
}
