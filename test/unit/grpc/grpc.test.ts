import assert from "node:assert/strict";
import http2 from "node:http2";
import { type Duplex, duplexPair } from "node:stream";
import { describe, it, type TestContext } from "node:test";
import { gzipSync } from "node:zlib";
import { StatusRequest, StatusResponse } from "../../../src/api/gen/control.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import { BytesDuplex, GrpcClient, GrpcServer, type ServerCall, unary } from "../../../src/grpc/index.ts";

interface Fixture {
  readonly server: GrpcServer;
  readonly client: GrpcClient;
  readonly serverEnd: Duplex;
  readonly clientEnd: Duplex;
}

async function connect(t: TestContext, options: { maxMessageBytes?: number } = {}): Promise<Fixture> {
  const server = new GrpcServer({ logger: silentLogger, keepAliveIntervalMs: 0, ...options });
  const [serverEnd, clientEnd] = duplexPair();
  const served = server.serveDuplex(serverEnd);
  const client = new GrpcClient(clientEnd, options);
  t.after(async () => {
    client.destroy();
    await server.close();
    await served;
  });
  await client.ready;
  return { server, client, serverEnd, clientEnd };
}

async function collect(messages: AsyncIterable<Uint8Array>): Promise<string[]> {
  const all: string[] = [];
  for await (const message of messages) all.push(Buffer.from(message).toString());
  return all;
}

const echo = async (call: ServerCall) => {
  for await (const message of call.messages) await call.send(message);
};

/** Resolves once `condition` holds; checked after each turn of the event loop. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

describe("GrpcServer and GrpcClient", () => {
  it("carry messages both ways, empty and large ones included", async (t) => {
    const { server, client } = await connect(t);
    server.handle("/t.T/Echo", echo);
    const call = client.open("/t.T/Echo");
    const sent = ["a", "", "x".repeat(5_000_000), "end"];
    const received = collect(call.messages);
    for (const message of sent) await call.send(Buffer.from(message));
    call.closeSend();
    assert.deepEqual(await received, sent);
  });

  it("leave out the largest details when they do not fit into a trailer", async (t) => {
    const { server, client } = await connect(t);
    server.handle("/t.T/Fail", async () => {
      const detail = (typeUrl: string, length: number) => ({ typeUrl, value: Buffer.alloc(length) });
      throw new BuildError(Code.Unknown, "x".repeat(100_000), {
        details: [detail("small", 10), detail("large", 1 << 20), detail("medium", 1000)],
      });
    });
    await assert.rejects(collect(client.open("/t.T/Fail").messages), (error: BuildError) => {
      assert.deepEqual(
        error.details.map((item) => item.typeUrl),
        ["small", "medium"],
      );
      return error.message.startsWith("xxx");
    });
    assert.equal(client.usable, true);
  });

  it("give errors with code, text and details, before and after messages", async (t) => {
    const { server, client } = await connect(t);
    const detail = { typeUrl: "github.com/moby/buildkit/errdefs.Source+json", value: Buffer.alloc(45_000, 0x61) };
    server.handle("/t.T/Fail", async (call) => {
      for await (const message of call.messages) await call.send(message);
      throw new BuildError(Code.FailedPrecondition, 'näh: "no"\nline', { details: [detail] });
    });
    for (const messages of [[], ["one", "two"]]) {
      const call = client.open("/t.T/Fail");
      for (const message of messages) await call.send(Buffer.from(message));
      call.closeSend();
      const seen: string[] = [];
      await assert.rejects(
        async () => {
          for await (const message of call.messages) seen.push(Buffer.from(message).toString());
        },
        (error: BuildError) => {
          assert.equal(error.code, Code.FailedPrecondition);
          assert.equal(error.message, 'näh: "no"\nline');
          assert.equal(error.details[0]?.typeUrl, detail.typeUrl);
          assert.equal(error.details[0]?.value.length, 45_000);
          return true;
        },
      );
      assert.deepEqual(seen, messages);
    }
  });

  it("name unknown methods and services", async (t) => {
    const { server, client } = await connect(t);
    server.handle("/t.T/Echo", echo);
    await assert.rejects(collect(client.open("/t.T/Nope").messages), {
      code: Code.Unimplemented,
      message: "unknown method Nope for service t.T",
    });
    await assert.rejects(collect(client.open("/t.U/Nope").messages), {
      code: Code.Unimplemented,
      message: "unknown service t.U",
    });
  });

  it("carry metadata: repeated values, commas, headers of the answer", async (t) => {
    const { server, client } = await connect(t);
    let seen: ServerCall | undefined;
    server.handle("/t.T/Meta", async (call) => {
      seen = call;
      call.setHeader("x-answer", "a,b", "c");
      call.sendHeaders();
    });
    const metadata = { "include-patterns": ["c,d", "*"], traceparent: ["00-abc"] };
    const call = client.open("/t.T/Meta", { metadata });
    call.closeSend();
    assert.deepEqual((await call.headers)["x-answer"], ["a,b", "c"]);
    assert.deepEqual(await collect(call.messages), []);
    assert.deepEqual(seen?.metadata["include-patterns"], ["c,d", "*"]);
    assert.equal(seen?.traceparent, "00-abc");
  });

  it("refuse metadata that HTTP/2 does not carry, and live on", async (t) => {
    const { server, client } = await connect(t);
    server.handle("/t.T/Echo", echo);
    for (const metadata of [{ "include-patterns": ["ü*"] }, { a: ["x\nb: c"] }, { "b c": ["x"] }]) {
      assert.throws(() => client.open("/t.T/Echo", { metadata }), { code: Code.Internal });
    }
    const call = client.open("/t.T/Echo", { metadata: { empty: [""] } });
    call.closeSend();
    assert.deepEqual(await collect(call.messages), []);
  });

  it("take hundreds of metadata values", async (t) => {
    const { server, client } = await connect(t);
    let count = 0;
    server.handle("/t.T/Meta", async (call) => {
      count = call.metadata["followpaths"]?.length ?? 0;
    });
    const followpaths = Array.from({ length: 3000 }, (_, i) => `some/long/path/of/a/file/number-${i}`);
    await collect(client.open("/t.T/Meta", { metadata: { followpaths } }).messages);
    assert.equal(count, 3000);
  });

  it("refuse messages over the limit in either direction", async (t) => {
    const { server, client } = await connect(t, { maxMessageBytes: 1000 });
    server.handle("/t.T/Echo", echo);
    server.handle("/t.T/Large", async (call) => call.send(Buffer.alloc(1001)));
    const up = client.open("/t.T/Echo");
    await up.send(Buffer.alloc(1001));
    await assert.rejects(collect(up.messages), { code: Code.ResourceExhausted });
    await assert.rejects(collect(client.open("/t.T/Large").messages), { code: Code.ResourceExhausted });
    await until(() => server.activeCalls === 0);
  });

  it("read gzip, and say which compression they do not know", async (t) => {
    const { server } = await connect(t, { maxMessageBytes: 1000 });
    server.handle("/t.T/Echo", echo);
    const ask = async (encoding: string, payload: Uint8Array): Promise<{ status: string; body: Buffer }> => {
      const [serverEnd, clientEnd] = duplexPair();
      void server.serveDuplex(serverEnd);
      const session = http2.connect("http://localhost", { createConnection: () => clientEnd });
      const stream = session.request({
        ":method": "POST",
        ":path": "/t.T/Echo",
        "content-type": "application/grpc+proto",
        "grpc-encoding": encoding,
      });
      const prefix = Buffer.from([1, 0, 0, 0, 0]);
      prefix.writeUInt32BE(payload.length, 1);
      stream.end(Buffer.concat([prefix, payload]));
      let status = "";
      stream.on("response", (headers) => {
        status ||= String(headers["grpc-status"] ?? "");
      });
      stream.on("trailers", (headers) => {
        status ||= String(headers["grpc-status"] ?? "");
      });
      const chunks: Buffer[] = [];
      for await (const chunk of stream) chunks.push(chunk);
      const body = Buffer.concat(chunks);
      clientEnd.destroy();
      return { status, body };
    };
    const good = await ask("gzip", gzipSync("hello"));
    assert.deepEqual([good.status, good.body.subarray(5).toString()], ["0", "hello"]);
    assert.equal((await ask("gzip", gzipSync(Buffer.alloc(100_000)))).status, String(Code.ResourceExhausted));
    assert.equal((await ask("gzip", Buffer.from("no gzip"))).status, String(Code.Internal));
    assert.equal((await ask("snappy", Buffer.from("x"))).status, String(Code.Unimplemented));
    assert.equal((await ask("identity", Buffer.from("x"))).status, String(Code.Internal));
  });

  it("answer bytes that are no protobuf with Internal", async (t) => {
    const { server, client } = await connect(t);
    server.handle(
      "/t.T/Unary",
      unary(StatusRequest, StatusResponse, () => StatusResponse.fromPartial({})),
    );
    for (const bad of [[0x0a, 0xff], [0xff], [0x0a, 0x05, 0x61]]) {
      const call = client.open("/t.T/Unary");
      await call.send(Buffer.from(bad));
      call.closeSend();
      await assert.rejects(collect(call.messages), { code: Code.Internal }, `${bad}`);
    }
    const none = client.open("/t.T/Unary");
    none.closeSend();
    await assert.rejects(collect(none.messages), { code: Code.Internal });
  });

  it("abort the handler's signal when the client cancels", async (t) => {
    const { server, client } = await connect(t);
    const started = Promise.withResolvers<ServerCall>();
    const aborted = Promise.withResolvers<unknown>();
    server.handle("/t.T/Wait", async (call) => {
      started.resolve(call);
      call.signal.addEventListener("abort", () => aborted.resolve(call.signal.reason));
      for await (const _ of call.messages);
      assert.fail("the messages of a cancelled call do not just end");
    });
    const abort = new AbortController();
    const call = client.open("/t.T/Wait", { signal: abort.signal });
    const messages = assert.rejects(collect(call.messages), { code: Code.Canceled, message: "stop it" });
    await started.promise;
    abort.abort(new BuildError(Code.Canceled, "stop it"));
    await messages;
    assert.equal(((await aborted.promise) as BuildError).code, Code.Canceled);
    await until(() => server.activeCalls === 0);
    await assert.rejects(call.send(Buffer.from("late")), { code: Code.Canceled });
  });

  it("abort the handler's signal when the connection breaks", async (t) => {
    const { server, client, serverEnd } = await connect(t);
    const started = Promise.withResolvers<ServerCall>();
    server.handle("/t.T/Wait", async (call) => {
      started.resolve(call);
      await new Promise((resolve) => call.signal.addEventListener("abort", resolve));
    });
    const call = client.open("/t.T/Wait");
    const server1 = await started.promise;
    const failed = assert.rejects(collect(call.messages), { code: Code.Unavailable, infrastructure: true });
    serverEnd.destroy();
    await until(() => server1.signal.aborted && server.activeCalls === 0);
    client.destroy();
    await failed;
    assert.throws(() => client.open("/t.T/Wait"), { code: Code.Unavailable });
  });

  it("end a call at its deadline on both sides", async (t) => {
    const { server, client } = await connect(t);
    const reason = Promise.withResolvers<BuildError>();
    server.handle("/t.T/Wait", async (call) => {
      await new Promise((resolve) => call.signal.addEventListener("abort", resolve));
      reason.resolve(call.signal.reason);
    });
    const call = client.open("/t.T/Wait", { timeoutMs: 20 });
    await assert.rejects(collect(call.messages), { code: Code.DeadlineExceeded });
    assert.ok([Code.DeadlineExceeded, Code.Canceled].includes((await reason.promise).code as never));
  });

  it("hold a fast sender back while the receiver does not read", async (t) => {
    const { server, client } = await connect(t);
    let sent = 0;
    const stopped = Promise.withResolvers<void>();
    server.handle("/t.T/Flood", async (call) => {
      const message = Buffer.alloc(64 << 10);
      try {
        for (;;) {
          await call.send(message);
          sent += message.length;
        }
      } finally {
        stopped.resolve();
      }
    });
    server.handle("/t.T/Echo", echo);
    const flood = client.open("/t.T/Flood");
    // Another call on the same connection goes through whole while the first is stuck.
    const other = client.open("/t.T/Echo");
    const received = collect(other.messages);
    for (let i = 0; i < 100; i++) await other.send(Buffer.alloc(100_000));
    other.closeSend();
    assert.equal((await received).length, 100);
    let last = -1;
    while (last !== sent) {
      last = sent;
      for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
    }
    assert.ok(sent > 0 && sent < 12 << 20, `${sent} bytes were taken from the sender`);
    const reader = flood.messages[Symbol.asyncIterator]();
    for (let i = 0; i < 300; i++) await reader.next();
    assert.ok(sent > last, "reading lets the sender go on");
    flood.cancel();
    await stopped.promise;
  });

  it("work inside a call of their own, where a stuck call does not hold up another", async (t) => {
    const { server, client } = await connect(t);
    const inner = Promise.withResolvers<GrpcClient>();
    server.handle("/t.T/Session", async (call) => {
      const tunnel = new GrpcClient(new BytesDuplex(call));
      await tunnel.ready;
      inner.resolve(tunnel);
      await tunnel.closed;
    });
    const services = new GrpcServer({ logger: silentLogger, keepAliveIntervalMs: 0 });
    services.handle("/c.C/Echo", echo);
    services.handle("/c.C/Flood", async (call) => {
      for (;;) await call.send(Buffer.alloc(100_000));
    });
    const served = services.serveDuplex(new BytesDuplex(client.open("/t.T/Session")));
    const tunnel = await inner.promise;
    const stuck = tunnel.open("/c.C/Flood");
    const call = tunnel.open("/c.C/Echo");
    const received = collect(call.messages);
    for (let i = 0; i < 200; i++) await call.send(Buffer.alloc(100_000));
    call.closeSend();
    assert.equal((await received).length, 200);
    await services.close();
    await served;
    await assert.rejects(collect(stuck.messages));
    await tunnel.closed;
    await until(() => server.activeCalls === 0);
  });

  it("live through a tunnel that breaks off in the middle of anything", async (t) => {
    const { server, client } = await connect(t);
    server.handle("/t.T/Session", async (call) => {
      const tunnel = new GrpcClient(new BytesDuplex(call));
      const stream = tunnel.open("/c.C/Echo");
      stream.send(Buffer.alloc(300_000)).catch(() => {});
      await collect(stream.messages).catch(() => {});
      await tunnel.closed;
    });
    server.handle("/t.T/Echo", echo);
    const services = new GrpcServer({ logger: silentLogger, keepAliveIntervalMs: 0 });
    services.handle("/c.C/Echo", echo);
    for (let i = 0; i < 30; i++) {
      const call = client.open("/t.T/Session");
      const tunnel = new BytesDuplex(call);
      const served = services.serveDuplex(tunnel);
      for (let turn = 0; turn < i; turn++) await new Promise((resolve) => setImmediate(resolve));
      if (i % 3 === 0) tunnel.destroy();
      else if (i % 3 === 1) call.closeSend();
      else call.cancel();
      await served;
      await until(() => server.activeCalls === 0);
    }
    const call = client.open("/t.T/Echo");
    call.closeSend();
    assert.deepEqual(await collect(call.messages), []);
  });

  it("end a call whose client still sends", async (t) => {
    const { server, client } = await connect(t);
    server.handle("/t.T/Enough", async (call) => {
      for await (const message of call.messages) {
        await call.send(message);
        return;
      }
    });
    for (let i = 0; i < 20; i++) {
      const call = client.open("/t.T/Enough");
      await call.send(Buffer.from("x"));
      assert.deepEqual(await collect(call.messages), ["x"]);
      await assert.rejects(call.send(Buffer.from("more")));
    }
    await until(() => server.activeCalls === 0);
  });

  it("drain on close: a running call finishes, a new one is refused", async (t) => {
    const { server, client } = await connect(t);
    const go = Promise.withResolvers<void>();
    const started = Promise.withResolvers<void>();
    server.handle("/t.T/Slow", async (call) => {
      started.resolve();
      await go.promise;
      await call.send(Buffer.from("done"));
    });
    const call = client.open("/t.T/Slow");
    call.closeSend();
    const received = collect(call.messages);
    await started.promise;
    const closed = server.close(10_000);
    await until(() => !client.usable);
    assert.throws(() => client.open("/t.T/Slow"), { code: Code.Unavailable });
    go.resolve();
    assert.deepEqual(await received, ["done"]);
    await closed;
  });

  it("refuse what is no gRPC", async (t) => {
    const { server } = await connect(t);
    const [serverEnd, clientEnd] = duplexPair();
    void server.serveDuplex(serverEnd);
    const session = http2.connect("http://localhost", { createConnection: () => clientEnd });
    t.after(() => clientEnd.destroy());
    const stream = session.request({ ":method": "GET", ":path": "/" });
    const status = await new Promise((resolve) => stream.on("response", (headers) => resolve(headers[":status"])));
    assert.equal(status, 405);
    stream.close();
  });

  it("drop a connection that does not answer pings", async (t) => {
    const server = new GrpcServer({ logger: silentLogger, keepAliveIntervalMs: 5 });
    t.after(() => server.close());
    const [serverEnd, silent] = duplexPair();
    silent.resume();
    await server.serveDuplex(serverEnd);
    assert.equal(serverEnd.destroyed, true);
  });

  it("report a peer that is no HTTP/2", async (t) => {
    const [ours, theirs] = duplexPair();
    const client = new GrpcClient(ours);
    t.after(() => client.destroy());
    theirs.write("HTTP/1.1 400 Bad Request\r\n\r\n");
    theirs.resume();
    await assert.rejects(client.ready, { code: Code.Unavailable });
  });
});
