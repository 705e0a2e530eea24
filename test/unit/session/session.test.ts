import assert from "node:assert/strict";
import { type Duplex, duplexPair } from "node:stream";
import { describe, it, type TestContext } from "node:test";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import type { Clock } from "../../../src/core/seams/clock.ts";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import { GrpcServer, serveHealth } from "../../../src/grpc/index.ts";
import { ManagedSessionGroup, SessionManager } from "../../../src/session/index.ts";
import { defaultHealthPolicy, sessionIdentity } from "../../../src/session/session-headers.ts";
import { watchHealth } from "../../../src/session/session-health.ts";

/** Time that passes only when told. */
class ManualClock implements Clock {
  #now = 1000;
  #sleepers = new Set<{ readonly at: number; readonly wake: () => void }>();

  now(): number {
    return this.#now;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const sleeper = { at: this.#now + ms, wake: resolve };
      this.#sleepers.add(sleeper);
      signal?.addEventListener("abort", () => {
        this.#sleepers.delete(sleeper);
        reject(signal.reason);
      });
    });
  }

  get sleeping(): number {
    return this.#sleepers.size;
  }

  async advance(ms: number): Promise<void> {
    this.#now += ms;
    for (const sleeper of [...this.#sleepers]) {
      if (sleeper.at > this.#now) continue;
      this.#sleepers.delete(sleeper);
      sleeper.wake();
    }
    await turns();
  }
}

async function turns(count = 20): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

const headers = (id: string, more: Record<string, string[]> = {}) => ({
  "x-docker-expose-session-uuid": [id],
  "x-docker-expose-session-sharedkey": ["ctx:abc"],
  "x-docker-expose-session-grpc-method": ["/grpc.health.v1.Health/Check", "/t.T/Echo"],
  ...more,
});

interface Client {
  readonly server: GrpcServer;
  readonly tunnel: Duplex;
  /** Settles when the manager has let the session go. */
  readonly served: Promise<void>;
  readonly abort: AbortController;
}

/** A build client with one service, connected to the manager. */
function openSession(t: TestContext, manager: SessionManager, id: string, metadata = headers(id)): Client {
  const server = new GrpcServer({ logger: silentLogger, keepAliveIntervalMs: 0 });
  serveHealth(server);
  server.handle("/t.T/Echo", async (call) => {
    for await (const message of call.messages) await call.send(message);
  });
  server.handle("/t.T/Name", async (call) => {
    await call.send(Buffer.from(call.peer.address));
  });
  const [tunnel, inner] = duplexPair();
  void server.serveDuplex(inner, { peer: { address: `client of ${id}` } });
  const abort = new AbortController();
  const served = manager.serve(tunnel, metadata, abort.signal);
  t.after(async () => {
    abort.abort();
    await served.catch(() => {});
    await server.close();
  });
  return { server, tunnel, served, abort };
}

async function one(messages: AsyncIterable<Uint8Array>): Promise<string> {
  for await (const message of messages) return Buffer.from(message).toString();
  return "";
}

describe("SessionManager", () => {
  it("reaches a client through its tunnel", async (t) => {
    const manager = new SessionManager({ logger: silentLogger });
    openSession(t, manager, "s1");
    const caller = await manager.get("s1");
    assert.equal(caller.id, "s1");
    assert.equal(caller.sharedKey, "ctx:abc");
    assert.equal(caller.supports("/T.t/echo"), true);
    assert.equal(caller.supports("/t.T/Name"), false);
    await using call = caller.open("/t.T/Echo");
    await call.send(Buffer.from("hello"));
    call.closeSend();
    assert.equal(await one(call.messages), "hello");
  });

  it("waits for a client that is still on its way, prefix or not", async (t) => {
    const manager = new SessionManager({ logger: silentLogger });
    const early = [manager.get("late"), manager.get("local:late")];
    openSession(t, manager, "late");
    for (const caller of await Promise.all(early)) assert.equal(caller.id, "late");
  });

  it("gives up after five seconds, and at once when the caller does", async () => {
    const clock = new ManualClock();
    const manager = new SessionManager({ logger: silentLogger, clock });
    const lookup = assert.rejects(manager.get("none"), {
      code: Code.NotFound,
      message: "no active session for none: context deadline exceeded",
    });
    await turns();
    await clock.advance(5000);
    await lookup;
    const abort = new AbortController();
    const reason = new BuildError(Code.Canceled, "enough");
    const cancelled = assert.rejects(manager.get("none", { signal: abort.signal }), reason);
    abort.abort(reason);
    await cancelled;
    assert.equal(clock.sleeping, 0);
  });

  it("fails open calls as Unavailable when the client vanishes", async (t) => {
    const manager = new SessionManager({ logger: silentLogger });
    const client = openSession(t, manager, "s1");
    const caller = await manager.get("s1");
    const call = caller.open("/t.T/Echo");
    await call.send(Buffer.from("x"));
    client.tunnel.destroy();
    await assert.rejects(
      async () => {
        for await (const _ of call.messages);
      },
      { code: Code.Unavailable },
    );
    await client.served;
    assert.deepEqual(manager.ids, []);
    assert.throws(() => caller.open("/t.T/Echo"), { code: Code.Unavailable });
  });

  it("ends the session with the call that carries it", async (t) => {
    const manager = new SessionManager({ logger: silentLogger });
    const client = openSession(t, manager, "s1");
    const caller = await manager.get("s1");
    const call = caller.open("/t.T/Echo");
    client.abort.abort();
    await assert.rejects(one(call.messages), { code: Code.Unavailable, message: "session s1 is gone" });
    await client.served;
    assert.equal(client.tunnel.destroyed, true);
  });

  it("lets a second tunnel take an id over, and keeps it when the first ends", async (t) => {
    const manager = new SessionManager({ logger: silentLogger });
    const first = openSession(t, manager, "same");
    const old = await manager.get("same");
    const oldCall = old.open("/t.T/Echo");
    openSession(t, manager, "same");
    await until(() => {
      const known = manager.ids.length;
      return known === 1;
    });
    let current = await manager.get("same");
    while (current === old) {
      await turns(1);
      current = await manager.get("same");
    }
    await oldCall.send(Buffer.from("still here"));
    oldCall.closeSend();
    assert.equal(await one(oldCall.messages), "still here");
    first.abort.abort();
    await first.served;
    assert.equal(await manager.get("same"), current);
  });

  it("refuses a tunnel without an id, and one whose other end is silent", async () => {
    const manager = new SessionManager({ logger: silentLogger });
    const [tunnel, silent] = duplexPair();
    await assert.rejects(manager.serve(tunnel, {}, new AbortController().signal), { code: Code.InvalidArgument });
    silent.resume();
    const abort = new AbortController();
    const reason = new BuildError(Code.Canceled, "left");
    const served = assert.rejects(manager.serve(tunnel, headers("s1"), abort.signal), reason);
    assert.deepEqual(manager.ids, []);
    abort.abort(reason);
    await served;
    assert.equal(tunnel.destroyed, true);
  });

  it("drops a client that no longer answers health checks", async (t) => {
    const clock = new ManualClock();
    const manager = new SessionManager({ logger: silentLogger, clock });
    const client = openSession(t, manager, "s1");
    const caller = await manager.get("s1");
    await clock.advance(5000);
    assert.deepEqual(manager.ids, ["s1"], "a healthy client stays");
    client.server.handle(
      "/grpc.health.v1.Health/Check",
      (check) => new Promise((resolve) => check.signal.addEventListener("abort", () => resolve())),
    );
    const call = caller.open("/t.T/Echo");
    let ended = false;
    void client.served.then(() => {
      ended = true;
    });
    while (!ended) await clock.advance(5000);
    await assert.rejects(one(call.messages), {
      code: Code.Unavailable,
      message: "session healthcheck failed fatally: context deadline exceeded",
    });
  });
});

describe("watchHealth()", () => {
  it("forgives one failure and gives a slow client half as long again", async () => {
    const clock = new ManualClock();
    let pending: PromiseWithResolvers<void> | undefined;
    let checks = 0;
    let failures = 0;
    const abort = new AbortController();
    const watch = watchHealth(
      {
        clock,
        policy: { intervalMs: 5000, timeoutMs: 15_000, failures: 2 },
        check: () => {
          checks++;
          pending = Promise.withResolvers();
          return pending.promise;
        },
        onFailedCheck: () => failures++,
      },
      abort.signal,
    );
    await clock.advance(5000);
    await clock.advance(14_000);
    pending?.resolve();
    await turns();
    await clock.advance(5000);
    assert.equal(checks, 2);
    await clock.advance(15_001);
    assert.equal(failures, 0, "the last one took 14 s, so this one has 21 s");
    await clock.advance(6000);
    assert.equal(failures, 1);
    await clock.advance(5000);
    pending?.resolve();
    await turns();
    await clock.advance(5000);
    assert.equal(checks, 4);
    abort.abort();
    assert.equal(await watch, undefined);
  });
});

describe("sessionIdentity()", () => {
  it("reads what buildx sends, joined by a proxy or not", () => {
    const identity = sessionIdentity(
      headers("s1", { "x-docker-expose-session-grpc-method": ["/a.B/C, /a.B/D", "/E.f/G"] }),
    );
    assert.deepEqual([...identity.methods], ["/a.b/c", "/a.b/d", "/e.f/g"]);
    assert.equal(identity.health, defaultHealthPolicy);
  });

  for (const [header, expected] of [
    ["3000", { intervalMs: 3000, timeoutMs: 3000, failures: 1 }],
    ["10", { intervalMs: 1000, timeoutMs: 1000, failures: 1 }],
    ["-5", defaultHealthPolicy],
    ["soon", defaultHealthPolicy],
  ] as const) {
    it(`takes a custom health timeout of ${header}`, () => {
      const metadata = headers("s1", { "x-buildkit-session-health-custom-timeout": [header] });
      assert.deepEqual(sessionIdentity(metadata).health, expected);
    });
  }
});

describe("ManagedSessionGroup", () => {
  it("tries each session until one serves", async (t) => {
    const manager = new SessionManager({ logger: silentLogger });
    openSession(t, manager, "a");
    openSession(t, manager, "b");
    const group = new ManagedSessionGroup(manager, ["a", "", "b", "a"]);
    assert.deepEqual(group.ids, ["a", "b"]);
    const tried: string[] = [];
    const result = await group.any(async (caller) => {
      tried.push(caller.id);
      if (caller.id === "a") throw new BuildError(Code.NotFound, "not here");
      return caller.id;
    });
    assert.deepEqual([result, tried], ["b", ["a", "b"]]);
    await assert.rejects(
      group.any(async (caller) => {
        throw new BuildError(Code.NotFound, `not in ${caller.id}`);
      }),
      { message: "not in b" },
    );
  });

  it("says when there is none", async () => {
    const group = new ManagedSessionGroup(new SessionManager({ logger: silentLogger }), [""]);
    await assert.rejects(
      group.any(async () => {}),
      { code: Code.NotFound, message: "no active sessions" },
    );
  });
});
