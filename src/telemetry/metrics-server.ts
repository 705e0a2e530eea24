import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Registry } from "prom-client";
import { splitHostPort } from "../util/host-port.ts";

/** Where metrics can be had; dispose to end it. */
export interface MetricsServer extends AsyncDisposable {
  /** `host:port` with the real port. */
  readonly address: string;
}

/**
 * Serves `GET /metrics` in Prometheus' text format, and `GET /healthz`. Nobody is asked who he is: the figures tell of loads and
 * names of pools, nothing of builds.
 * @param listen `host:port`
 */
export async function serveMetrics(listen: string, registry: Registry): Promise<MetricsServer> {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://metrics");
    if (request.method !== "GET" || (pathname !== "/metrics" && pathname !== "/healthz")) {
      response.writeHead(404).end("try /metrics\n");
      return;
    }
    try {
      const text = pathname === "/healthz" ? "ok\n" : await registry.metrics();
      response
        .writeHead(200, { "content-type": pathname === "/healthz" ? "text/plain" : registry.contentType })
        .end(text);
    } catch (error) {
      response.writeHead(500).end(`${error instanceof Error ? error.message : String(error)}\n`);
    }
  });
  const { host, port } = splitHostPort(listen);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, resolve);
  });
  return {
    address: `${host}:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
