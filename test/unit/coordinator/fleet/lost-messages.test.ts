import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parsePlatform } from "../../../../src/core/values/platform.ts";
import type { Task } from "../../../../src/core/values/task.ts";
import { type FakeAgent, FakeFleet } from "../../../helpers/fake-fleet.ts";

const execBody = {
  op: new Uint8Array(),
  inputs: [],
  platform: parsePlatform("linux/amd64"),
  entitlements: [],
  cacheMounts: [],
  description: "",
};
const done = async () => ({ outputs: [], layers: [], usage: {} });
const never = () => new Promise<object>(() => {});

async function heartbeats(fleet: FakeFleet, agent: FakeAgent, count: number, running: readonly string[]) {
  agent.running = running;
  for (let i = 0; i < count; i++) agent.beat();
  await fleet.bus.flush();
}

const ids = (tasks: readonly Task[]) => tasks.map((task) => task.id);

describe("messages that the bus loses", () => {
  it("an outcome: the task runs again once three heartbeats no longer name it", async () => {
    await using fleet = await FakeFleet.start();
    const a = await fleet.agent("a", never);
    const result = fleet.dispatcher.run("exec", execBody, fleet.context());
    await fleet.bus.flush();
    await heartbeats(fleet, a, 4, ids(a.accepted));
    await heartbeats(fleet, a, 2, []);
    await heartbeats(fleet, a, 1, ids(a.accepted));
    const b = await fleet.agent("b", done);
    await heartbeats(fleet, a, 2, []);
    assert.equal(b.accepted.length, 0);
    await heartbeats(fleet, a, 1, []);
    await result;
    assert.equal(b.accepted.length, 1);
    assert.match(fleet.logs.join(""), /agent a no longer runs the task and its outcome was not heard; trying again/);
  });

  it("a cancel: it is said again as long as the agent says that it runs the task", async () => {
    await using fleet = await FakeFleet.start();
    const a = await fleet.agent("a", never);
    const abort = new AbortController();
    const result = fleet.dispatcher.run("exec", execBody, fleet.context({ signal: abort.signal }));
    await fleet.bus.flush();
    abort.abort(new Error("client left"));
    await assert.rejects(result, /client left/);
    await heartbeats(fleet, a, 2, ids(a.accepted));
    await fleet.bus.flush();
    assert.equal(a.cancelled.length, 3);
    await heartbeats(fleet, a, 1, []);
    await heartbeats(fleet, a, 1, ids(a.accepted));
    await fleet.bus.flush();
    assert.equal(a.cancelled.length, 3);
  });

  it("the answer to an offer: what the agent then says of its cancelled try does not count", async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    await using fleet = await FakeFleet.start();
    const cancelled = Promise.withResolvers<object>();
    const a = await fleet.agent("a", () => cancelled.promise);
    a.mute = true;
    const settled = Promise.withResolvers<object>();
    const result = fleet.dispatcher.run("exec", execBody, fleet.context());
    await fleet.bus.flush();
    const b = await fleet.agent("b", () => settled.promise);
    t.mock.timers.tick(2000);
    for (let i = 0; i < 5; i++) await fleet.bus.flush();
    assert.deepEqual(ids(a.accepted), a.cancelled);
    assert.equal(b.accepted.length, 1);
    cancelled.reject(new Error("context canceled"));
    await fleet.bus.flush();
    settled.resolve(await done());
    await result;
  });

  it("the answer to an offer that has run already: its outcome counts", async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    await using fleet = await FakeFleet.start();
    const a = await fleet.agent("a", done);
    a.mute = true;
    const result = fleet.dispatcher.run("exec", execBody, fleet.context());
    for (let i = 0; i < 5; i++) await fleet.bus.flush();
    t.mock.timers.tick(2000);
    await result;
    assert.equal(a.accepted.length, 1);
    assert.equal(a.cancelled.length, 0);
  });
});

describe("an offer that is aborted", () => {
  it("is taken back and leaves the agent's slot free", async () => {
    await using fleet = await FakeFleet.start();
    const a = await fleet.agent("a", () => (a.mute ? never() : done()));
    a.mute = true;
    const abort = new AbortController();
    const result = fleet.dispatcher.run("exec", execBody, fleet.context({ signal: abort.signal }));
    await fleet.bus.flush();
    abort.abort(new Error("client left"));
    await assert.rejects(result, /client left/);
    await fleet.bus.flush();
    assert.deepEqual(a.cancelled, ids(a.accepted));
    a.mute = false;
    await fleet.dispatcher.run("exec", execBody, fleet.context());
  });
});
