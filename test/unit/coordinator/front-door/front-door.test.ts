import assert from "node:assert/strict";
import { duplexPair } from "node:stream";
import { describe, it, type TestContext } from "node:test";
import { BinaryReader, BinaryWriter } from "@bufbuild/protobuf/wire";
import * as control from "../../../../src/api/gen/control.ts";
import * as gateway from "../../../../src/api/gen/gateway.ts";
import { createFrontDoor } from "../../../../src/coordinator/front-door/index.ts";
import { progressMessages } from "../../../../src/coordinator/front-door/progress-messages.ts";
import { BuildError } from "../../../../src/core/errors/build-error.ts";
import { Code } from "../../../../src/core/errors/code.ts";
import type { Clock } from "../../../../src/core/seams/clock.ts";
import { silentLogger } from "../../../../src/core/seams/logger.ts";
import { sha256 } from "../../../../src/core/values/digest.ts";
import { BytesDuplex, errorToStatus, GrpcClient, GrpcServer, serveHealth } from "../../../../src/grpc/index.ts";
import { SessionManager } from "../../../../src/session/index.ts";
import { systemClock } from "../../../../src/util/system-clock.ts";
import { FakeBuildService, fakeRef } from "../../../integration/front-door/fake-build-service.ts";

/** Sleeps return at once, so look-ups that wait give up at once. */
const impatient: Clock = { now: () => 1_700_000_000_000, sleep: async () => {} };

async function open(t: TestContext, clock: Clock = systemClock) {
  const builds = new FakeBuildService();
  const sessions = new SessionManager({ logger: silentLogger });
  const server = createFrontDoor({
    logger: silentLogger,
    builds,
    sessions,
    version: { package: "p", version: "v1", revision: "r", dockerfileVersion: "" },
    llbCapabilities: ["source.image"],
    clock,
    content: {
      stat: async (digest) => (digest === sha256("blob data") ? { digest, size: 9, createdAt: 1500 } : undefined),
      read: async function* (_digest, range) {
        const data = Buffer.from("blob data")
          .subarray(range?.offset ?? 0)
          .subarray(0, range?.length ?? 9);
        for (let at = 0; at < data.length; at += 4) yield data.subarray(at, at + 4);
      },
    },
  });
  const [serverEnd, clientEnd] = duplexPair();
  void server.serveDuplex(serverEnd);
  const client = new GrpcClient(clientEnd);
  t.after(async () => {
    client.destroy();
    await server.close();
  });
  await client.ready;
  const api = "/moby.buildkit.v1.Control/";
  const bridgeApi = "/moby.buildkit.v1.frontend.LLBBridge/";
  return {
    builds,
    sessions,
    server,
    client,
    solve: (request: Partial<control.SolveRequest>, signal?: AbortSignal) =>
      client.unary(
        `${api}Solve`,
        control.SolveRequest,
        control.SolveResponse,
        { ...control.SolveRequest.fromPartial({}), ...request },
        signal === undefined ? {} : { signal },
      ),
    status: async (ref: string) => {
      const call = client.open(`${api}Status`);
      await call.send(control.StatusRequest.encode({ Ref: ref }).finish());
      call.closeSend();
      const messages: control.StatusResponse[] = [];
      for await (const bytes of call.messages) messages.push(control.StatusResponse.decode(bytes));
      return { messages, headers: await call.headers };
    },
    bridge: <K extends string, Req, Res>(
      ref: string,
      name: K,
      request: { encode(m: Req): { finish(): Uint8Array }; decode(b: Uint8Array): Req },
      response: { encode(m: Res): { finish(): Uint8Array }; decode(b: Uint8Array): Res },
      message: Req,
    ) =>
      client.unary(bridgeApi + name, request, response, message, {
        metadata: { "buildkit-controlapi-buildid": [ref] },
      }),
  };
}

const bridgeSolve = gateway.SolveRequest.fromPartial({
  Frontend: "dockerfile.v0",
  allowResultReturn: true,
  allowResultArrayRef: true,
});

describe("front door", () => {
  it("serves a client-driven build whose calls arrive before it", async (t) => {
    const door = await open(t);
    const ping = door.bridge("b1", "Ping", gateway.PingRequest, gateway.PongResponse, {});
    const status = door.status("b1");
    const solve = door.solve({ Ref: "b1", Session: "s1" });
    const pong = await ping;
    assert.deepEqual(
      pong.LLBCaps.map((capability) => [capability.ID, capability.Enabled]),
      [["source.image", true]],
    );
    assert.ok(pong.FrontendAPICaps.some((capability) => capability.ID === "return"));
    assert.equal(pong.Workers[0]?.platforms[0]?.OS, "linux");
    const solved = await door.bridge("b1", "Solve", gateway.SolveRequest, gateway.SolveResponse, bridgeSolve);
    assert.equal(solved.result?.result?.$case, "ref");
    const file = await door.bridge(
      "b1",
      "ReadFile",
      gateway.ReadFileRequest,
      gateway.ReadFileResponse,
      gateway.ReadFileRequest.fromPartial({ Ref: "ref-1", FilePath: "/a", Range: { Offset: 8, Length: 2 } }),
    );
    assert.equal(Buffer.from(file.Data).toString(), "of");
    door.builds.started[0]?.report({ logs: [{ vertex: "v", stream: 2, data: Buffer.from("log"), timestamp: 1500 }] });
    const result = gateway.Result.fromPartial({
      metadata: { k: Buffer.from("v") },
      result: { $case: "ref", value: { id: "ref-1" } },
    });
    await door.bridge(
      "b1",
      "Return",
      gateway.ReturnRequest,
      gateway.ReturnResponse,
      gateway.ReturnRequest.fromPartial({ result }),
    );
    assert.deepEqual((await solve).ExporterResponse, { "image.name": "docker.io/library/fake:latest" });
    const { messages, headers } = await status;
    assert.match(headers["buildkit-current-timestamp"]?.[0] ?? "", /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    assert.deepEqual(messages[0]?.logs[0]?.timestamp, { seconds: 1n, nanos: 500_000_000 });
    const build = door.builds.started[0];
    assert.ok(build?.outcome !== undefined && "result" in build.outcome);
    assert.equal(build.outcome.result.ref?.id, "ref-1");
    assert.equal(Buffer.from(build.outcome.result.metadata.get("k") ?? "").toString(), "v");
    // The bridge has gone with the build, its progress has not.
    assert.equal((await door.status("b1")).messages.length, 1);
    await assert.rejects(door.solve({ Ref: "b1" }), { message: "job ID b1 exists" });
  });

  it("runs a build with a frontend or a definition by itself", async (t) => {
    const door = await open(t);
    const seen: unknown[] = [];
    door.builds.onSolve = async (request) => {
      seen.push([request.frontend, request.definition?.def.length]);
      return { metadata: new Map() };
    };
    await door.solve({ Ref: "b1", Frontend: "dockerfile.v0" });
    await door.solve({ Ref: "b2", Definition: { def: [Buffer.from("x")], metadata: {}, Source: undefined } });
    assert.deepEqual(seen, [
      ["dockerfile.v0", undefined],
      [undefined, 1],
    ]);
  });

  it("reaches the services of a client of our own kind", async (t) => {
    const door = await open(t);
    const services = new GrpcServer({ logger: silentLogger });
    serveHealth(services);
    services.handle("/t.T/Hello", async (call) => {
      for await (const message of call.messages) await call.send(Buffer.concat([Buffer.from("hello "), message]));
    });
    const session = door.client.open("/moby.buildkit.v1.Control/Session", {
      metadata: {
        "x-docker-expose-session-uuid": ["s1"],
        "x-docker-expose-session-grpc-method": [...services.methods],
      },
    });
    const served = services.serveDuplex(new BytesDuplex(session));
    let heard = "";
    door.builds.onSolve = async (_request, build, signal) => {
      const caller = await door.sessions.get(build.params.sessionId, { signal });
      assert.equal(caller.supports("/t.T/Hello"), true);
      await using call = caller.open("/t.T/Hello", { signal });
      await call.send(Buffer.from("client"));
      call.closeSend();
      for await (const message of call.messages) heard += Buffer.from(message).toString();
      return { metadata: new Map() };
    };
    await door.solve({ Ref: "b1", Session: "s1", Frontend: "f" });
    assert.equal(heard, "hello client");
    await services.close();
    await served;
    while (door.sessions.ids.length > 0) await new Promise((resolve) => setImmediate(resolve));
  });

  it("fails Solve with the very error the client returns", async (t) => {
    const door = await open(t);
    const detail = { typeUrl: "github.com/moby/buildkit/errdefs.Source+json", value: Buffer.from("{}") };
    door.builds.onSolve = async () => {
      throw new BuildError(Code.FailedPrecondition, "dockerfile parse error", { details: [detail] });
    };
    const solve = assert.rejects(door.solve({ Ref: "b1" }), (error: BuildError) => {
      assert.deepEqual([error.code, error.message], [Code.FailedPrecondition, "dockerfile parse error"]);
      const types = error.details.map(({ typeUrl }) => typeUrl.replace(/.*errdefs\./, ""));
      assert.deepEqual(types, ["Solve+json", "Source+json"]);
      return true;
    });
    const failure = await door
      .bridge("b1", "Solve", gateway.SolveRequest, gateway.SolveResponse, bridgeSolve)
      .catch((error: BuildError) => error);
    assert.ok(failure instanceof BuildError);
    await door.bridge("b1", "Return", gateway.ReturnRequest, gateway.ReturnResponse, {
      result: undefined,
      error: errorToStatus(failure),
    });
    await solve;
    const outcome = door.builds.started[0]?.outcome;
    assert.ok(outcome !== undefined && "error" in outcome);
  });

  it("ends the progress of a refused request, and takes its ref again", async (t) => {
    const door = await open(t);
    const status = door.status("b1");
    const refused = { Ref: "b1", Exporters: [{ Type: "no-such", Attrs: {} }] };
    for (let i = 0; i < 2; i++) {
      await assert.rejects(door.solve(refused), { message: 'exporter "no-such" could not be found' });
    }
    assert.deepEqual((await status).messages, []);
    assert.deepEqual((await door.status("b1")).messages, []);
    await door.solve({ Ref: "b1", Frontend: "f" });
  });

  it("tells the build when its client leaves", async (t) => {
    const door = await open(t);
    const abort = new AbortController();
    const solve = assert.rejects(door.solve({ Ref: "b1" }, abort.signal), { code: Code.Canceled });
    await door.bridge("b1", "Ping", gateway.PingRequest, gateway.PongResponse, {});
    abort.abort();
    await solve;
    while (door.builds.started[0]?.outcome === undefined) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(door.builds.started[0]?.signal.aborted, true);
    assert.ok("error" in door.builds.started[0].outcome);
  });

  it("answers calls for builds that never come", async (t) => {
    const door = await open(t, impatient);
    await assert.rejects(door.bridge("b9", "Ping", gateway.PingRequest, gateway.PongResponse, {}), {
      code: Code.NotFound,
      message: "forwarding Ping: no such job b9",
    });
    await assert.rejects(door.status("b9"), { code: Code.NotFound, message: "no such job b9" });
    await assert.rejects(
      door.client.unary("/moby.buildkit.v1.frontend.LLBBridge/Ping", gateway.PingRequest, gateway.PongResponse, {}),
      { code: Code.Unknown, message: "forwarding Ping: no buildid found in context" },
    );
  });

  it("refuses refs it has not given out, and a second result", async (t) => {
    const door = await open(t);
    const solve = door.solve({ Ref: "b1" });
    const give = (result: gateway.Result) =>
      door.bridge("b1", "Return", gateway.ReturnRequest, gateway.ReturnResponse, { result, error: undefined });
    const named = (id: string) => gateway.Result.fromPartial({ result: { $case: "ref", value: { id } } });
    await assert.rejects(give(named("made-up")), { message: "return reference made-up not found" });
    await assert.rejects(
      door.bridge("b1", "Evaluate", gateway.EvaluateRequest, gateway.EvaluateResponse, { Ref: "made-up" }),
      { message: "no such ref: made-up" },
    );
    const finish = Promise.withResolvers<Record<string, string>>();
    door.builds.onFinish = () => finish.promise;
    await give(named(""));
    await assert.rejects(give(named("")), { message: "gateway result is already set" });
    finish.resolve({});
    await solve;
  });

  it("gives results in the form the client knows", async (t) => {
    const door = await open(t);
    door.builds.onSolve = async () => ({
      refs: new Map([
        ["linux/arm64", undefined],
        ["linux/amd64", fakeRef("r1")],
      ]),
      metadata: new Map(),
    });
    const abort = new AbortController();
    const solve = door.solve({ Ref: "b1" }, abort.signal).catch(() => {});
    const ask = (request: Partial<gateway.SolveRequest>) =>
      door.bridge("b1", "Solve", gateway.SolveRequest, gateway.SolveResponse, {
        ...gateway.SolveRequest.fromPartial({}),
        ...request,
      });
    const modern = await ask({ allowResultReturn: true, allowResultArrayRef: true });
    assert.ok(modern.result?.result?.$case === "refs");
    assert.deepEqual(
      Object.entries(modern.result.result.value.refs).map(([platform, ref]) => [platform, ref.id]),
      [
        ["linux/amd64", "r1"],
        ["linux/arm64", ""],
      ],
    );
    const old = await ask({ allowResultReturn: true });
    assert.deepEqual(old.result?.result, {
      $case: "refsDeprecated",
      value: { refs: { "linux/amd64": "r1", "linux/arm64": "" } },
    });
    await assert.rejects(ask({}), { message: "solve did not return default result" });
    abort.abort();
    await solve;
  });

  it("treats an empty filter as none and converts units", async (t) => {
    const door = await open(t);
    const usage = await door.client.unary(
      "/moby.buildkit.v1.Control/DiskUsage",
      control.DiskUsageRequest,
      control.DiskUsageResponse,
      { filter: [""], ageLimit: 5_000_000_000n },
    );
    assert.deepEqual(door.builds.lastDiskUsage, { filters: [], ageLimitMs: 5000 });
    assert.deepEqual(usage.record[0]?.CreatedAt, { seconds: 1_700_000_000n, nanos: 500_000_000 });
  });

  it("has an empty history that ends", async (t) => {
    const door = await open(t);
    const call = door.client.open("/moby.buildkit.v1.Control/ListenBuildHistory");
    await call.send(
      control.BuildHistoryRequest.encode(
        control.BuildHistoryRequest.fromPartial({ ActiveOnly: true, EarlyExit: true, Ref: "x" }),
      ).finish(),
    );
    call.closeSend();
    for await (const _ of call.messages) assert.fail("there is no history");
    assert.ok((await call.headers)["buildkit-current-timestamp"] !== undefined);
  });
});

describe("content service", () => {
  const content = "/containerd.services.content.v1.Content/";
  const read = async (client: GrpcClient, digest: string, offset = 0, size = 0): Promise<string> => {
    const call = client.open(`${content}Read`);
    await call.send(
      new BinaryWriter().uint32(10).string(digest).uint32(16).int64(offset).uint32(24).int64(size).finish(),
    );
    call.closeSend();
    let text = "";
    for await (const bytes of call.messages) {
      const reader = new BinaryReader(bytes);
      while (reader.pos < reader.len) {
        const tag = reader.uint32();
        if (tag === 18) text += Buffer.from(reader.bytes()).toString();
        else if (tag === 8) assert.equal(Number(reader.int64()), text.length);
        else reader.skip(tag & 7);
      }
    }
    return text;
  };

  it("reads blobs and parts of them", async (t) => {
    const { client } = await open(t);
    const digest = sha256("blob data");
    assert.equal(await read(client, digest), "blob data");
    assert.equal(await read(client, digest, 5), "data");
    assert.equal(await read(client, digest, 2, 3), "ob ");
    assert.equal(await read(client, digest, 9), "");
    await assert.rejects(read(client, digest, 10), { code: Code.OutOfRange });
    await assert.rejects(read(client, sha256("other")), { code: Code.NotFound });
    await assert.rejects(read(client, "sha256:../../etc/passwd"), { code: Code.InvalidArgument });
  });

  it("lists nothing: layers stay with the agents, blobs of history are read by digest", async (t) => {
    const { client } = await open(t);
    const call = client.open(`${content}List`);
    call.closeSend();
    for await (const _ of call.messages) assert.fail("a blob is listed");
  });

  for (const method of ["Write", "Delete", "Update", "Abort"]) {
    it(`refuses ${method}`, async (t) => {
      const { client } = await open(t);
      const call = client.open(content + method);
      call.closeSend();
      await assert.rejects(
        async () => {
          for await (const _ of call.messages);
        },
        { message: "read-only content store" },
      );
    });
  }
});

describe("progressMessages()", () => {
  it("cuts long logs and large graphs into messages that any client takes", () => {
    const log = (index: number) => ({
      vertex: "v",
      stream: 1 as const,
      data: Buffer.alloc(300_000, index),
      timestamp: index,
    });
    const vertexes = Array.from({ length: 10_000 }, (_, i) => ({
      digest: `sha256:${i}`,
      inputs: [],
      name: `${i}`,
      cached: false,
    }));
    const logs = Array.from({ length: 20 }, (_, i) => log(i));
    const messages = [...progressMessages({ vertexes, statuses: [], logs, warnings: [] })];
    assert.deepEqual(
      messages.flatMap((message) => message.vertexes.map((vertex) => vertex.digest)),
      vertexes.map((vertex) => vertex.digest),
    );
    assert.deepEqual(
      messages.flatMap((message) => message.logs.map((item) => item.msg[0])),
      logs.map((_, i) => i),
    );
    for (const message of messages) assert.ok(control.StatusResponse.encode(message).finish().length < 2 << 20);
    assert.deepEqual([...progressMessages({ vertexes: [], statuses: [], logs: [], warnings: [] })], []);
  });
});
