import { connect, createServer, type Server } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { MemoryTrace } from "../../src/telemetry/index.ts";
import { BuildTrace } from "./build-trace.ts";

/** Spans come in batches; when none has come for this long the last one has. */
const quietMs = 700;
const patienceMs = 5000;

/** Collects the spans of all processes of the fleet. */
export class TraceCollector implements AsyncDisposable {
  /** Makes a process send its spans here. */
  readonly env: Readonly<Record<string, string>>;
  readonly #trace: MemoryTrace;
  readonly #forwarder: Server;

  private constructor(trace: MemoryTrace, forwarder: Server, env: Readonly<Record<string, string>>) {
    this.#trace = trace;
    this.#forwarder = forwarder;
    this.env = env;
  }

  /** @param host where processes in other network namespaces reach this one */
  static async listen(host: string): Promise<TraceCollector> {
    const trace = await MemoryTrace.listen();
    const port = Number(new URL(trace.url).port);
    const forwarder = createServer((socket) => {
      const inner = connect(port, "127.0.0.1");
      socket.pipe(inner).pipe(socket);
      socket.on("error", () => inner.destroy());
      inner.on("error", () => socket.destroy());
    });
    await new Promise<void>((resolve, reject) => forwarder.once("error", reject).listen(0, host, resolve));
    forwarder.unref();
    const address = forwarder.address();
    const ownPort = address === null || typeof address === "string" ? 0 : address.port;
    return new TraceCollector(trace, forwarder, {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://${host}:${ownPort}`,
      OTEL_BSP_SCHEDULE_DELAY: "200",
    });
  }

  clear(): void {
    this.#trace.clear();
  }

  /** The largest trace since `clear`, once no more spans come. */
  async build(): Promise<BuildTrace> {
    let count = -1;
    for (let waited = 0; waited < patienceMs && count !== this.#trace.spans().length; waited += quietMs) {
      count = this.#trace.spans().length;
      await sleep(quietMs);
    }
    const byTrace = Map.groupBy(this.#trace.spans(), (span) => span.traceId);
    const [largest = []] = [...byTrace.values()].sort((a, b) => b.length - a.length);
    return new BuildTrace(largest);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#trace[Symbol.asyncDispose]();
    await new Promise((resolve) => this.#forwarder.close(resolve));
  }
}
