import assert from "node:assert/strict";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { Code } from "../../../src/core/errors/code.ts";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import { connectGrpc, GrpcServer, listenGrpc } from "../../../src/grpc/index.ts";

async function fixture(t: TestContext) {
  const directory = await mkdtemp(join(tmpdir(), "listen-"));
  const server = new GrpcServer({ logger: silentLogger });
  server.handle("/t.T/Where", async (call) => call.send(Buffer.from(call.peer.address)));
  t.after(async () => {
    await server.close();
    await rm(directory, { recursive: true, force: true });
  });
  return { directory, server };
}

async function ask(address: string): Promise<string> {
  await using client = await connectGrpc(address);
  const call = client.open("/t.T/Where");
  call.closeSend();
  for await (const message of call.messages) return Buffer.from(message).toString();
  return "";
}

describe("listenGrpc()", () => {
  it("serves a free TCP port and says which", async (t) => {
    const { server } = await fixture(t);
    await using listener = await listenGrpc(server, "tcp://127.0.0.1:0");
    assert.match(listener.address, /^tcp:\/\/127\.0\.0\.1:[1-9][0-9]*$/);
    assert.match(await ask(listener.address), /^127\.0\.0\.1:[0-9]+$/);
  });

  it("makes a unix socket that only its group may use", async (t) => {
    const { server, directory } = await fixture(t);
    const path = join(directory, "run", "door.sock");
    await using _listener = await listenGrpc(server, `unix://${path}`, { socketGroup: "daemon" });
    const { mode, gid } = await stat(path);
    assert.deepEqual([(mode & 0o777).toString(8), gid], ["660", 1]);
    assert.equal(await ask(`unix://${path}`), "local");
  });

  it("replaces a socket that nobody serves, but no live one and no file", async (t) => {
    const { server, directory } = await fixture(t);
    const path = join(directory, "door.sock");
    // A process that is killed leaves its socket; closing would remove it.
    const dead = net.createServer().listen(path);
    await new Promise((resolve) => dead.once("listening", resolve));
    await using first = await listenGrpc(server, `unix://${join(directory, "other.sock")}`);
    await assert.rejects(listenGrpc(server, first.address), { code: Code.AlreadyExists });
    await assert.rejects(listenGrpc(server, `unix://${path}`), { code: Code.AlreadyExists });
    const { renameSync } = await import("node:fs");
    renameSync(path, join(directory, "left.sock"));
    dead.close();
    await using again = await listenGrpc(server, `unix://${join(directory, "left.sock")}`);
    assert.equal(await ask(again.address), "local");
    await writeFile(join(directory, "file"), "precious");
    await assert.rejects(listenGrpc(server, `unix://${join(directory, "file")}`), { code: Code.AlreadyExists });
  });

  it("takes sockets from systemd by number and by name", async (t) => {
    const { server } = await fixture(t);
    const env = { LISTEN_FDS: "2", LISTEN_FDNAMES: "web:door", LISTEN_PID: String(process.pid) };
    for (const bad of ["fd://5", "fd://nobody", "fd://2"]) {
      await assert.rejects(listenGrpc(server, bad, { env }), { code: Code.InvalidArgument });
    }
    await assert.rejects(listenGrpc(server, "fd://", { env: { ...env, LISTEN_PID: "1" } }), {
      code: Code.InvalidArgument,
      message: "no sockets found via socket activation",
    });
  });

  for (const address of ["/run/x.sock", "tcp://127.0.0.1", "quic://127.0.0.1:1"]) {
    it(`refuses ${address}`, async (t) => {
      const { server } = await fixture(t);
      await assert.rejects(listenGrpc(server, address), { code: Code.InvalidArgument });
    });
  }

  it("says when a port is taken, and when nobody answers", async (t) => {
    const { server } = await fixture(t);
    let address: string;
    {
      await using listener = await listenGrpc(server, "tcp://127.0.0.1:0");
      address = listener.address;
      await assert.rejects(listenGrpc(server, address), { code: Code.AlreadyExists });
    }
    await assert.rejects(connectGrpc(address), { code: Code.Unavailable, infrastructure: true });
  });
});
