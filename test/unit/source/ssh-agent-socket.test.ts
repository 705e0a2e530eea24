import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { BytesMessage, CheckAgentRequest, CheckAgentResponse } from "../../../src/api/gen/ssh.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { openSshAgentSocket } from "../../../src/source/session/ssh-agent-socket.ts";
import { FakeSession, FakeSessionGroup } from "../../helpers/fake-session.ts";

const signal = new AbortController().signal;

function agentSession(ids: readonly string[]): FakeSession {
  return new FakeSession("s1", {
    "/moby.sshforward.v1.SSH/CheckAgent": async function* (requests) {
      for await (const request of requests) {
        const { ID } = CheckAgentRequest.decode(request);
        if (!ids.includes(ID)) throw new BuildError(Code.Unknown, `unset ssh forward key ${ID}`);
        yield CheckAgentResponse.encode({}).finish();
      }
    },
    "/moby.sshforward.v1.SSH/ForwardAgent": async function* (requests, metadata) {
      yield BytesMessage.encode({ data: Buffer.from(`${metadata["buildkit.ssh.id"]?.[0]}:`) }).finish();
      for await (const request of requests) {
        const text = Buffer.from(BytesMessage.decode(request).data).toString().toUpperCase();
        yield BytesMessage.encode({ data: Buffer.from(text) }).finish();
      }
    },
  });
}

async function ask(path: string, text: string): Promise<string> {
  const socket = connect(path);
  socket.end(text);
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

describe("openSshAgentSocket()", () => {
  it("carries bytes both ways, for several connections, and goes away", async () => {
    const sessions = new FakeSessionGroup(new FakeSession("s0", {}), agentSession(["deploy"]));
    const socket = await openSshAgentSocket(sessions, "deploy", signal);
    assert.deepEqual(await Promise.all([ask(socket.path, "one"), ask(socket.path, "two")]), [
      "deploy:ONE",
      "deploy:TWO",
    ]);
    await socket[Symbol.asyncDispose]();
    assert.equal(existsSync(socket.path), false);
  });

  it("ends connections that are open when it is disposed", async () => {
    const socket = await openSshAgentSocket(new FakeSessionGroup(agentSession(["default"])), "default", signal);
    const client = connect(socket.path);
    client.on("error", () => {});
    await new Promise((resolve) => client.once("data", resolve));
    const closed = new Promise((resolve) => client.once("close", resolve));
    await socket[Symbol.asyncDispose]();
    await closed;
  });

  it("says when no client forwards such an agent", async () => {
    await assert.rejects(openSshAgentSocket(new FakeSessionGroup(new FakeSession("s0", {})), "default", signal), {
      message: 'no SSH key "default" forwarded from the client',
    });
    await assert.rejects(openSshAgentSocket(new FakeSessionGroup(agentSession([])), "x", signal), {
      message: "unset ssh forward key x",
    });
  });
});
