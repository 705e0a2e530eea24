import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { decodeSpans, type SpanRecord } from "./otlp-spans.ts";

/** Longest request taken; the SDK sends at most 512 spans in one. */
const maxRequestBytes = 16 << 20;

/**
 * An OTLP/HTTP collector on loopback that keeps spans in memory: for the demo and for tests. Any process may send to it with
 * `OTEL_EXPORTER_OTLP_ENDPOINT` set to `url`.
 */
export class MemoryTrace implements AsyncDisposable {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  readonly #server: Server;
  readonly #spans: SpanRecord[];

  private constructor(url: string, server: Server, spans: SpanRecord[]) {
    this.url = url;
    this.#server = server;
    this.#spans = spans;
  }

  static async listen(): Promise<MemoryTrace> {
    const spans: SpanRecord[] = [];
    const server = createServer((request, response) => void receive(request, response, spans));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, "127.0.0.1", resolve);
    });
    // Who started it waits for builds, not for a collector.
    server.unref();
    return new MemoryTrace(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, server, spans);
  }

  /** All that has arrived, or what belongs to one trace. */
  spans(traceId?: string): readonly SpanRecord[] {
    return this.#spans.filter((span) => traceId === undefined || span.traceId === traceId);
  }

  clear(): void {
    this.#spans.length = 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

async function receive(request: IncomingMessage, response: ServerResponse, spans: SpanRecord[]): Promise<void> {
  try {
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of request) {
      size += chunk.length;
      if (size > maxRequestBytes) throw new Error(`request is larger than ${maxRequestBytes} bytes`);
      chunks.push(chunk);
    }
    if (request.method !== "POST" || request.url !== "/v1/traces") {
      response.writeHead(404).end();
      return;
    }
    spans.push(...decodeSpans(Buffer.concat(chunks)));
    response.writeHead(200, { "content-type": "application/x-protobuf" }).end();
  } catch (error) {
    response.writeHead(400, { "content-type": "text/plain" }).end(String(error));
  }
}
