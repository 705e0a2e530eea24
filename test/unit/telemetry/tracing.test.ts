import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createSocket } from "node:dgram";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import { GrpcServer, listenGrpc } from "../../../src/grpc/index.ts";
import {
  currentTraceparent,
  inSpan,
  MemoryTrace,
  onSpanEnded,
  otlpForwarder,
  type SpanRecord,
  startSpan,
  startTracing,
  traceFields,
} from "../../../src/telemetry/index.ts";
import { decodeSpans } from "../../../src/telemetry/otlp-spans.ts";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const parentId = "b7ad6b7169203331";
const parent = `00-${traceId}-${parentId}-01`;

/** The SDK reads the environment of the process. */
function setEnvironment(values: Readonly<Record<string, string>>): void {
  clearEnvironment();
  Object.assign(process.env, values);
}

function clearEnvironment(): void {
  for (const name of Object.keys(process.env)) {
    if (/^(OTEL_|JAEGER_)/.test(name)) delete process.env[name];
  }
}

afterEach(clearEnvironment);

const options = { serviceName: "test", resource: { "service.version": "1.2" } };

describe("without tracing", () => {
  it("hands the parent's context on", async () => {
    await inSpan("outer", { parent }, async (span) => {
      assert.equal(span.traceparent, parent);
      span.set({ a: 1 });
    });
    assert.equal(startSpan("lone").traceparent, undefined);
    assert.equal(await inSpan("lone", { root: true }, async ({ traceparent }) => traceparent), undefined);
    assert.equal(currentTraceparent(), undefined);
    assert.deepEqual(traceFields(), {});
  });

  it("passes results and errors through", async () => {
    assert.equal(await inSpan("x", { parent }, async () => 7), 7);
    const failure = new Error("no");
    await assert.rejects(
      inSpan("x", { parent }, () => Promise.reject(failure)),
      (error) => error === failure,
    );
  });

  it("loads only what it needs", async () => {
    const script = `
      import { createRequire } from "node:module";
      import { startTracing } from ${JSON.stringify(new URL("../../../src/telemetry/index.ts", import.meta.url).href)};
      const tracing = await startTracing(process.env, { serviceName: "x" });
      const modules = Object.keys(createRequire(import.meta.url).cache).filter((path) => path.includes("opentelemetry"));
      const packages = new Set(modules.map((path) => /@opentelemetry.([^/]+)/.exec(path)?.[1]));
      await tracing[Symbol.asyncDispose]();
      console.log(JSON.stringify({ enabled: tracing.enabled, packages: [...packages] }));`;
    const run = async (env: Readonly<Record<string, string>>) => {
      const args = ["--input-type=module-typescript", "--eval", script];
      const cwd = fileURLToPath(new URL("../../../", import.meta.url));
      const { stdout } = await promisify(execFile)(process.execPath, args, { cwd, env: { ...process.env, ...env } });
      return JSON.parse(stdout) as { enabled: boolean; packages: string[] };
    };
    assert.deepEqual(await run({ OTEL_SDK_DISABLED: "true" }), { enabled: false, packages: ["api"] });
    const recording = await run({});
    assert.ok(recording.enabled && !recording.packages.includes("sdk-node"));
    const { enabled, packages } = await run({ JAEGER_TRACE: "127.0.0.1:9" });
    assert.ok(enabled && packages.includes("sdk-node") && packages.includes("exporter-jaeger"));
  });
});

describe("spans that go nowhere", () => {
  it("are told to who listens, with their parents", async (t) => {
    setEnvironment({});
    await using _tracing = await startTracing(process.env, options);
    const seen: SpanRecord[] = [];
    const listening = onSpanEnded((span) => seen.push(span));
    t.after(() => listening[Symbol.dispose]());
    await inSpan("outer", { parent, kind: "server", attributes: { list: ["a", "b"] } }, async () => {
      await assert.rejects(inSpan("inner", {}, () => Promise.reject(new Error("no"))));
    });
    await inSpan("unsampled", { parent: `00-${traceId}-${parentId}-00` }, async () => {});
    const [inner, outer] = seen;
    assert.equal(seen.length, 2);
    assert.deepEqual(
      [outer?.name, outer?.kind, outer?.parentSpanId, outer?.service],
      ["outer", "server", parentId, "test"],
    );
    assert.deepEqual(outer?.attributes, { list: ["a", "b"] });
    assert.deepEqual([inner?.parentSpanId, inner?.error], [outer?.spanId, "no"]);
    assert.deepEqual(
      inner?.events.map(({ name, attributes }) => [name, attributes["exception.message"]]),
      [["exception", "no"]],
    );
    listening[Symbol.dispose]();
    await inSpan("later", { parent }, async () => {});
    assert.equal(seen.length, 2);
  });
});

describe("OTLP", () => {
  it("sends spans with their parents, attributes and errors", async () => {
    await using collector = await MemoryTrace.listen();
    setEnvironment({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url });
    const tracing = await startTracing(process.env, options);
    assert.equal(tracing.enabled, true);
    await inSpan(
      "outer",
      { parent, kind: "server", attributes: { text: "t", on: true, n: 3, x: 0.5 } },
      async (span) => {
        await Promise.resolve();
        assert.equal(currentTraceparent(), span.traceparent);
        assert.deepEqual(traceFields(), { traceId, spanId: span.traceparent?.split("-")[2] });
        await assert.rejects(inSpan("inner", {}, () => Promise.reject(new Error("exit code: 1"))));
        const stream = startSpan("stream");
        stream.end();
        stream.end(new Error("too late"));
        span.set({ late: "yes" });
      },
    );
    await inSpan("unrelated", {}, async ({ traceparent }) => assert.equal(traceparent, undefined));
    await inSpan("another trace", { root: true }, async () => {});
    await tracing[Symbol.asyncDispose]();

    const spans = collector.spans(traceId);
    const [outer, inner, stream] = ["outer", "inner", "stream"].map((name) => spans.find((span) => span.name === name));
    assert.equal(spans.length, 3);
    assert.deepEqual(outer?.attributes, { text: "t", on: true, n: 3, x: 0.5, late: "yes" });
    assert.equal(outer?.parentSpanId, parentId);
    assert.equal(outer?.service, "test");
    assert.deepEqual([outer?.kind, inner?.kind], ["server", "internal"]);
    assert.equal(outer?.error, undefined);
    assert.equal(inner?.parentSpanId, outer?.spanId);
    assert.equal(inner?.error, "exit code: 1");
    assert.equal(stream?.parentSpanId, outer?.spanId);
    assert.equal(stream?.error, undefined);
    // The SDK takes the start of a span from a clock of whole milliseconds.
    const slack = 1_000_000n;
    assert.ok(outer && inner && outer.startNanos <= inner.startNanos);
    assert.ok(outer.endNanos >= outer.startNanos && inner.endNanos <= outer.endNanos + slack);
    const others = collector.spans().filter((span) => span.traceId !== traceId);
    assert.deepEqual(
      others.map(({ name, parentSpanId }) => ({ name, parentSpanId })),
      [{ name: "another trace", parentSpanId: "" }],
    );
  });

  it("respects a client that samples nothing", async () => {
    await using collector = await MemoryTrace.listen();
    setEnvironment({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url });
    const tracing = await startTracing(process.env, options);
    const unsampled = `00-${traceId}-${parentId}-00`;
    const passedOn = await inSpan("outer", { parent: unsampled }, async ({ traceparent }) => traceparent);
    assert.match(passedOn ?? "", new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`));
    await tracing[Symbol.asyncDispose]();
    assert.deepEqual(collector.spans(), []);
  });

  it("takes the service name of the environment", async () => {
    await using collector = await MemoryTrace.listen();
    setEnvironment({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_SERVICE_NAME: "named" });
    const tracing = await startTracing(process.env, options);
    await inSpan("x", { root: true }, async () => {});
    await tracing[Symbol.asyncDispose]();
    assert.deepEqual(
      collector.spans().map(({ service }) => service),
      ["named"],
    );
  });

  it("speaks gRPC when told to", async () => {
    const spans: SpanRecord[] = [];
    await using server = new GrpcServer({ logger: silentLogger });
    server.handle("/opentelemetry.proto.collector.trace.v1.TraceService/Export", async (call) => {
      for await (const request of call.messages) spans.push(...decodeSpans(request));
      await call.send(new Uint8Array());
    });
    await using listener = await listenGrpc(server, "tcp://127.0.0.1:0");
    setEnvironment({
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: listener.address.replace("tcp:", "http:"),
      OTEL_EXPORTER_OTLP_PROTOCOL: "grpc",
    });
    const tracing = await startTracing(process.env, options);
    await inSpan("over grpc", { parent }, async () => {});
    await tracing[Symbol.asyncDispose]();
    assert.deepEqual(
      spans.map(({ name, parentSpanId }) => ({ name, parentSpanId })),
      [{ name: "over grpc", parentSpanId: parentId }],
    );
  });

  it("does not fail what it traces when nobody collects", async () => {
    setEnvironment({ OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9", OTEL_EXPORTER_OTLP_TIMEOUT: "200" });
    const warnings: string[] = [];
    const log = () => {};
    const logger = {
      debug: log,
      info: log,
      error: log,
      warn: (text: string) => warnings.push(text),
      child: () => logger,
    };
    const tracing = await startTracing(process.env, { ...options, logger });
    assert.equal(await inSpan("x", { root: true }, async () => 1), 1);
    await tracing[Symbol.asyncDispose]();
    assert.ok(warnings.length > 0);
  });
});

describe("Jaeger", () => {
  it("sends thrift batches to an agent over UDP", async () => {
    const socket = createSocket("udp4");
    const arrived = new Promise<Buffer>((resolve) => socket.once("message", resolve));
    await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
    try {
      setEnvironment({ JAEGER_TRACE: `127.0.0.1:${socket.address().port}` });
      const tracing = await startTracing(process.env, options);
      await inSpan("to jaeger", { parent, attributes: { vertex: "sha256:1" } }, async () => {});
      await tracing[Symbol.asyncDispose]();
      const packet = await arrived;
      for (const text of ["emitBatch", "test", "to jaeger", "vertex", "sha256:1"])
        assert.ok(packet.includes(text), text);
      assert.ok(packet.includes(Buffer.from(traceId.slice(16), "hex")));
      assert.ok(packet.includes(Buffer.from(parentId, "hex")));
    } finally {
      socket.close();
    }
  });

  it("posts thrift batches to a collector", async () => {
    await using server = await listen(200);
    setEnvironment({ JAEGER_TRACE: `${server.url}/api/traces` });
    const tracing = await startTracing(process.env, options);
    await inSpan("to jaeger", { parent }, async () => {});
    await tracing[Symbol.asyncDispose]();
    const [request] = server.requests;
    assert.equal(request?.path.split("?")[0], "/api/traces");
    assert.match(request?.headers["content-type"] ?? "", /thrift/);
    assert.ok(request?.body.includes("to jaeger"));
  });
});

describe("otlpForwarder", () => {
  const { signal } = new AbortController();

  it("posts a client's request as it is", async () => {
    await using server = await listen(200);
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: server.url, OTEL_EXPORTER_OTLP_HEADERS: "api-key=k" };
    await otlpForwarder(env)?.(Buffer.from([10, 0]), signal);
    const [request] = server.requests;
    assert.equal(request?.path, "/v1/traces");
    assert.equal(request?.headers["content-type"], "application/x-protobuf");
    assert.equal(request?.headers["api-key"], "k");
    assert.deepEqual([...(request?.body ?? [])], [10, 0]);
  });

  it("says so when the collector refuses or is gone", async () => {
    await using server = await listen(500);
    const refused = otlpForwarder({ OTEL_EXPORTER_OTLP_ENDPOINT: server.url });
    await assert.rejects(async () => refused?.(new Uint8Array(), signal), /^BuildError: trace collector answered 500$/);
    const gone = otlpForwarder({ OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9" });
    await assert.rejects(async () => gone?.(new Uint8Array(), signal), BuildError);
  });

  it("sends a client's request over gRPC", async () => {
    const requests: Uint8Array[] = [];
    await using server = new GrpcServer({ logger: silentLogger });
    server.handle("/opentelemetry.proto.collector.trace.v1.TraceService/Export", async (call) => {
      for await (const request of call.messages) requests.push(request);
      if (call.metadata["api-key"]?.[0] !== "k") throw new BuildError(Code.PermissionDenied, "no key");
      await call.send(new Uint8Array());
    });
    await using listener = await listenGrpc(server, "tcp://127.0.0.1:0");
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: listener.address.replace("tcp:", "http:"),
      OTEL_EXPORTER_OTLP_PROTOCOL: "grpc",
    };
    await otlpForwarder({ ...env, OTEL_EXPORTER_OTLP_HEADERS: "api-key=k" })?.(Buffer.from([10, 0]), signal);
    assert.deepEqual(
      requests.map((request) => [...request]),
      [[10, 0]],
    );
    await assert.rejects(async () => otlpForwarder(env)?.(new Uint8Array(), signal), /trace collector .*no key/);
  });

  it("is there only where spans go out as OTLP", () => {
    assert.equal(otlpForwarder({}), undefined);
    assert.equal(otlpForwarder({ JAEGER_TRACE: "127.0.0.1:6832" }), undefined);
  });
});

describe("MemoryTrace", () => {
  it("refuses what is no request of spans", async () => {
    await using collector = await MemoryTrace.listen();
    const post = async (path: string, body: string) =>
      (await fetch(collector.url + path, { method: "POST", body })).status;
    assert.equal(await post("/v1/metrics", ""), 404);
    assert.equal(await post("/v1/traces", "\x0a\xff"), 400);
    assert.equal(await post("/v1/traces", ""), 200);
    assert.deepEqual(collector.spans(), []);
    assert.throws(() => decodeSpans(Buffer.from([10, 127, 1])));
  });
});

interface Received {
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

async function listen(status: number) {
  const requests: Received[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    requests.push({ path: request.url ?? "", headers: request.headers, body: Buffer.concat(chunks) });
    response.writeHead(status).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
