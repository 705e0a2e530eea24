import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { TracingDispatcher } from "../../../src/coordinator/fleet/tracing-dispatcher.ts";
import { traceCall } from "../../../src/coordinator/front-door/trace-calls.ts";
import { TracingOpResolver } from "../../../src/coordinator/ops/tracing-op-resolver.ts";
import type { BlobTransport } from "../../../src/core/seams/blob-transport.ts";
import type { Op, OpContext, Vertex } from "../../../src/core/seams/op.ts";
import type { SessionCaller, SessionGroup, SessionStream } from "../../../src/core/seams/session-caller.ts";
import type { DispatchContext, TaskDispatcher } from "../../../src/core/seams/task-dispatcher.ts";
import { sha256 } from "../../../src/core/values/digest.ts";
import type { ServerCall } from "../../../src/grpc/index.ts";
import { TracingSessionGroup } from "../../../src/session/index.ts";
import { inSpan, MemoryTrace, startTracing, type Tracing } from "../../../src/telemetry/index.ts";
import { TracingBlobTransport } from "../../../src/transfer/index.ts";

const parentId = "b7ad6b7169203331";
const parent = `00-0af7651916cd43dd8448eb211c80319c-${parentId}-01`;
const { signal } = new AbortController();
const spanOf = (traceparent: string | undefined) => traceparent?.split("-")[2];

describe("tracing decorators", () => {
  let collector: MemoryTrace;
  let tracing: Tracing;

  before(async () => {
    collector = await MemoryTrace.listen();
    process.env["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url;
    process.env["OTEL_BSP_SCHEDULE_DELAY"] = "1";
    tracing = await startTracing(process.env, { serviceName: "test" });
  });

  after(async () => {
    await tracing[Symbol.asyncDispose]();
    await collector[Symbol.asyncDispose]();
    delete process.env["OTEL_EXPORTER_OTLP_ENDPOINT"];
    delete process.env["OTEL_BSP_SCHEDULE_DELAY"];
  });

  /** Spans by name once they have arrived. */
  async function spansNamed(name: string, count = 1) {
    for (let attempt = 0; ; attempt++) {
      const found = collector.spans().filter((span) => span.name === name);
      if (found.length >= count) return found;
      assert.ok(attempt < 2000, `no span ${name} has come`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  it("TracingSessionGroup sends its span along and ends it with the call", async () => {
    const opened: (string | undefined)[] = [];
    const group = TracingSessionGroup.of(
      fakeSessions((traceparent) => {
        opened.push(traceparent);
      }),
    );
    assert.equal(TracingSessionGroup.of(group), group);
    await inSpan("caller", { parent }, async ({ traceparent }) => {
      const caller = await group.get("s1");
      await using stream = caller.open("/a.Service/Read", { metadata: { x: ["1"] } });
      for await (const message of stream.messages) assert.equal(message.length, 1);
      const [span] = await spansNamed("a.Service/Read");
      assert.equal(span?.parentSpanId, spanOf(traceparent));
      assert.equal(span?.spanId, spanOf(opened[0]));
    });
    // As the coordinator passes on what an agent has opened.
    const relayed = await group.any(async (caller) =>
      caller.open("/a.Service/Relay", { metadata: { traceparent: [parent] } }),
    );
    await relayed[Symbol.asyncDispose]();
    const [span] = await spansNamed("a.Service/Relay");
    assert.equal(span?.parentSpanId, parentId);
    assert.equal(span?.spanId, spanOf(opened[1]));
  });

  it("TracingSessionGroup leaves calls outside of a trace alone", async () => {
    const opened: (string | undefined)[] = [];
    const group = TracingSessionGroup.of(fakeSessions((traceparent) => opened.push(traceparent)));
    (await group.get("s1")).open("/a.Service/Lone");
    assert.deepEqual(opened, [undefined]);
  });

  it("TracingOpResolver hands its span to the op, and sessions as they are at the time", async () => {
    const contexts: Record<string, OpContext> = {};
    const op: Op<number> = {
      cacheMap: async (_, context) => {
        contexts["map"] = context;
        const computeDigest = async (_: number, inner: OpContext) => {
          contexts["digest"] = inner;
          return sha256("content");
        };
        return { map: { digest: sha256("map"), deps: [{ computeDigest }, {}] }, done: true };
      },
      exec: async (_, context) => {
        contexts["exec"] = context;
        throw new Error("exit code: 1");
      },
    };
    const vertex: Vertex = {
      digest: sha256("vertex"),
      name: "RUN it",
      inputs: [],
      options: { ignoreCache: false, description: {} },
      payload: undefined,
    };
    let ids: readonly string[] = ["first"];
    const context: OpContext = {
      signal,
      progress: { status: () => {}, log: () => {}, warn: () => {} },
      get sessions() {
        return { ...fakeSessions(() => {}), ids };
      },
      builds: [],
      traceparent: parent,
      vertex,
      compatibilityVersion: 30,
    };
    const traced = new TracingOpResolver({ resolve: () => op }).resolve(vertex);
    const { map } = await traced.cacheMap(0, context);
    await map.deps[0]?.computeDigest?.(1, context);
    assert.equal(map.deps[1]?.computeDigest, undefined);
    await assert.rejects(traced.exec([], context), /exit code: 1/);
    for (const [name, key] of [
      ["cache request: RUN it", "map"],
      ["content digest: RUN it", "digest"],
      ["RUN it", "exec"],
    ] as const) {
      const [span] = await spansNamed(name);
      assert.equal(span?.parentSpanId, parentId);
      assert.equal(span?.spanId, spanOf(contexts[key]?.traceparent), name);
      assert.equal(span?.attributes["vertex"], vertex.digest);
      assert.equal(span?.error, key === "exec" ? "exit code: 1" : undefined);
    }
    assert.deepEqual(contexts["exec"]?.sessions.ids, ["first"]);
    ids = ["first", "second"];
    assert.deepEqual(contexts["exec"]?.sessions.ids, ["first", "second"]);
  });

  it("TracingDispatcher hands its span to the task", async () => {
    let seen: string | undefined;
    const inner = {
      run: async (_kind: string, _body: unknown, context: DispatchContext) => {
        seen = context.traceparent;
        return { outputs: [], layers: [] };
      },
    } as unknown as TaskDispatcher;
    const context = { signal, traceparent: parent } as unknown as DispatchContext;
    await new TracingDispatcher(inner).run("materialize", { ref: { layers: [] } }, context);
    const [span] = await spansNamed("dispatch materialize");
    assert.equal(span?.parentSpanId, parentId);
    assert.equal(span?.spanId, spanOf(seen));
  });

  it("TracingBlobTransport counts bytes, also of reads that stop or fail", async () => {
    const inner: BlobTransport = {
      async *readBlob(url) {
        yield Buffer.from("abc");
        if (url.endsWith("broken")) throw new Error("reset");
        yield Buffer.from("def");
      },
      layerBlob: () => Promise.reject(new Error("gone")),
      checkBlob: () => Promise.reject(new Error("gone")),
      ping: () => Promise.reject(new Error("gone")),
    };
    const transport = new TracingBlobTransport(inner);
    const read = async (url: string, limit: number) => {
      let chunks = 0;
      for await (const _ of transport.readBlob(url, sha256("blob"), 0, signal)) if (++chunks === limit) break;
    };
    await inSpan("fetching", { parent }, async () => {
      await read("http://whole", 9);
      await read("http://stopped", 1);
      await assert.rejects(read("http://broken", 9), /reset/);
    });
    const spans = await spansNamed("read blob", 3);
    assert.deepEqual(
      spans.map(({ attributes, error }) => [attributes["transfer.bytes"], error]),
      [
        [6, undefined],
        [3, undefined],
        [3, "reset"],
      ],
    );
  });

  it("traceCall begins a trace for a build only, and none for health checks", async () => {
    const call = (method: string, traceparent?: string) => ({ method, traceparent }) as unknown as ServerCall;
    const within = async (served: ServerCall) => {
      let active: string | undefined;
      await traceCall(served, async () => {
        active = await inSpan("inner", {}, async ({ traceparent }) => traceparent);
      });
      return active !== undefined;
    };
    assert.equal(await within(call("/moby.buildkit.v1.Control/Solve")), true);
    assert.equal(await within(call("/moby.buildkit.v1.Control/Status")), false);
    assert.equal(await within(call("/moby.buildkit.v1.Control/Status", parent)), true);
    assert.equal(await within(call("/grpc.health.v1.Health/Check", parent)), false);
    const sendSpans = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    assert.equal(await within(call(sendSpans, parent)), false);
    const [status] = await spansNamed("moby.buildkit.v1.Control/Status");
    assert.equal(status?.parentSpanId, parentId);
    assert.equal(status?.kind, "server");
  });
});

/** One session that answers every call with one message. */
function fakeSessions(onOpen: (traceparent: string | undefined) => void): SessionGroup {
  const caller: SessionCaller = {
    id: "s1",
    sharedKey: "",
    supports: () => true,
    open: (_method, options): SessionStream => {
      onOpen(options?.metadata?.["traceparent"]?.[0]);
      return {
        send: async () => {},
        closeSend: () => {},
        messages: (async function* () {
          yield Buffer.from("x");
        })(),
        cancel: () => {},
        [Symbol.asyncDispose]: async () => {},
      };
    },
  };
  return { ids: ["s1"], get: async () => caller, any: (use) => use(caller) };
}
