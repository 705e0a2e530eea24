import assert from "node:assert/strict";
import { existsSync, statSync } from "node:fs";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { findSshAgent } from "../../../../src/session-services/index.ts";
import { listenForSsh } from "../../../../src/worker-agent/ops/exec/ssh-socket.ts";
import { fakeSessions } from "../../../helpers/fake-sessions.ts";

const signal = new AbortController().signal;

test("a socket speaks to the client's agent, each connection on its own", async () => {
  const sessions = fakeSessions({ ssh: (id, data) => `${id}: ${data}` });
  const caller = await findSshAgent(sessions, "", { optional: false, signal });
  assert.ok(caller !== undefined);
  const socket = await listenForSsh(caller, { ID: "", uid: 1000, gid: 50, mode: 0o100600 }, signal);
  const stat = statSync(socket.path);
  assert.deepEqual([stat.mode & 0o7777, stat.uid, stat.gid], [0o600, 1000, 50]);

  const talk = (message: string) => {
    const connection = connect(socket.path);
    connection.end(message);
    return text(connection);
  };
  assert.deepEqual(await Promise.all([talk("one"), talk("two")]), ["default: one", "default: two"]);

  const open = connect(socket.path);
  await new Promise((resolve) => open.once("connect", resolve));
  const closed = new Promise((resolve) => open.once("close", resolve));
  open.on("error", () => {});
  open.resume();
  await socket[Symbol.asyncDispose]();
  await closed;
  assert.equal(existsSync(socket.path), false);
});

test("findSshAgent() tells a client without an agent from one that need not have it", async () => {
  const sessions = fakeSessions({});
  await assert.rejects(findSshAgent(sessions, "k", { optional: false, signal }), {
    code: 2,
    message: 'no SSH key "k" forwarded from the client',
  });
  assert.equal(await findSshAgent(sessions, "k", { optional: true, signal }), undefined);
});
