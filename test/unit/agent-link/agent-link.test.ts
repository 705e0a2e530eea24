import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AgentLinkClient, AgentLinkServer } from "../../../src/agent-link/index.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import { FakeSession } from "../../helpers/fake-session.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array) => new TextDecoder().decode(data);

async function withLink(session: FakeSession, use: (client: AgentLinkClient, address: string) => Promise<void>) {
  await using server = new AgentLinkServer({
    logger: silentLogger,
    access: {
      open: async (token, id) => {
        if (token !== "good") throw new BuildError(Code.PermissionDenied, "token does not open this session");
        if (id !== session.id) throw new BuildError(Code.NotFound, `no active session for ${id}`);
        return session;
      },
    },
  });
  const port = await server.listen("127.0.0.1:0");
  using client = new AgentLinkClient();
  await use(client, `127.0.0.1:${port}`);
}

describe("AgentLink", () => {
  const session = new FakeSession(
    "s1",
    {
      "/moby.upload.v1.Upload/Pull": async function* (requests, metadata) {
        yield bytes(metadata["k"]?.join("|") ?? "");
        for await (const request of requests) yield request;
      },
      "/t/Fail": async function* () {
        yield bytes("before");
        throw new BuildError(Code.FailedPrecondition, "no luck", {
          details: [{ typeUrl: "t", value: bytes("{}") }],
        });
      },
      "/t/Hang": async function* (_requests, _metadata, signal) {
        yield bytes("started");
        await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      },
    },
    "key",
  );

  it("carries messages both ways, with metadata and shared key", () =>
    withLink(session, async (client, address) => {
      const caller = await client.group(address, "good", ["s1"]).get("s1");
      assert.equal(caller.sharedKey, "key");
      assert.equal(caller.supports("/moby.upload.v1.upload/pull"), true);
      assert.equal(caller.supports("/moby.filesync.v1.FileSync/DiffCopy"), false);
      await using stream = caller.open("/moby.upload.v1.Upload/Pull", { metadata: { k: ["a", "b"] } });
      const big = new Uint8Array(3 << 20).fill(7);
      const sending = (async () => {
        await stream.send(bytes("one"));
        await stream.send(big);
        stream.closeSend();
      })();
      const received: Uint8Array[] = [];
      for await (const message of stream.messages) received.push(message);
      await sending;
      assert.deepEqual(received.slice(0, 2).map(text), ["a|b", "one"]);
      assert.equal(received[2]?.length, big.length);
    }));

  it("brings the session's error with code and details", () =>
    withLink(session, async (client, address) => {
      const caller = await client.group(address, "good", ["s1"]).get("s1");
      await using stream = caller.open("/t/Fail");
      stream.closeSend();
      await assert.rejects(
        (async () => {
          for await (const _ of stream.messages) {
          }
        })(),
        (e) =>
          e instanceof BuildError &&
          e.code === Code.FailedPrecondition &&
          e.message === "no luck" &&
          e.details[0]?.typeUrl === "t",
      );
    }));

  it("opens nothing for a wrong token and tries each session in any()", () =>
    withLink(session, async (client, address) => {
      await assert.rejects(client.group(address, "bad", ["s1"]).get("s1"), { code: Code.PermissionDenied });
      const id = await client.group(address, "good", ["gone", "s1"]).any(async (caller) => caller.id);
      assert.equal(id, "s1");
    }));

  it("ends a call when its signal aborts", () =>
    withLink(session, async (client, address) => {
      const caller = await client.group(address, "good", ["s1"]).get("s1");
      const abort = new AbortController();
      await using stream = caller.open("/t/Hang", { signal: abort.signal });
      await assert.rejects(async () => {
        for await (const _ of stream.messages) abort.abort(new Error("stop now"));
      }, /stop now/);
    }));

  it("reports a coordinator that is gone as an infrastructure fault", async () => {
    using client = new AgentLinkClient();
    await assert.rejects(
      client.group("127.0.0.1:1", "good", ["s1"]).get("s1"),
      (e) => e instanceof BuildError && e.code === Code.Unavailable && e.infrastructure,
    );
  });
});
