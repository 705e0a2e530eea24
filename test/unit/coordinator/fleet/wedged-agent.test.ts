import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { parsePlatform } from "../../../../src/core/values/platform.ts";
import { type FakeAgent, FakeFleet, layerInfo } from "../../../helpers/fake-fleet.ts";

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

/** A fleet whose agent `wedged` runs two tasks, one of which was cancelled. */
async function start(t: TestContext) {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const fleet = await FakeFleet.start();
  const end = new AbortController();
  t.after(() => {
    end.abort();
    return fleet[Symbol.asyncDispose]();
  });
  const wedged = await fleet.agent("wedged", never, { capacity: { slots: 2, cpu: 4, memoryBytes: 8e9 } });
  const abort = new AbortController();
  const cancelled = fleet.dispatcher.run("exec", execBody, fleet.context({ signal: abort.signal }));
  const wanted = fleet.dispatcher.run(
    "exec",
    { ...execBody, description: "wanted" },
    fleet.context({ signal: end.signal }),
  );
  wanted.catch(() => {});
  await fleet.bus.flush();
  assert.equal(wedged.accepted.length, 2);
  wedged.running = wedged.accepted.map(({ id }) => id);
  abort.abort(new Error("client left"));
  await assert.rejects(cancelled, /client left/);
  const seconds = async (count: number, agents: readonly FakeAgent[]) => {
    for (let i = 0; i < count; i += 2) {
      t.mock.timers.tick(2000);
      for (const agent of agents) agent.beat();
      await fleet.bus.flush();
    }
  };
  return { fleet, wedged, wanted, seconds };
}

const alive = (fleet: FakeFleet) => fleet.registry.agents.map(({ id }) => id);

describe("an agent that does not end a cancelled task", () => {
  it("is evicted after a minute: what it ran goes elsewhere, what it has counts no more", async (t) => {
    const { fleet, wedged, wanted, seconds } = await start(t);
    const healthy = await fleet.agent("healthy", done, { capacity: { slots: 1, cpu: 4, memoryBytes: 8e9 } });
    const held = layerInfo("layer", { holders: ["wedged"] });
    await seconds(58, [wedged, healthy]);
    assert.deepEqual(alive(fleet), ["healthy", "wedged"]);
    assert.ok(fleet.dispatcher.isAvailable(held));
    assert.equal(healthy.accepted.length, 0);
    await seconds(2, [wedged, healthy]);
    await wanted;
    assert.deepEqual(alive(fleet), ["healthy"]);
    assert.ok(!fleet.dispatcher.isAvailable(held));
    assert.deepEqual(
      healthy.accepted.map(({ body }) => (body as typeof execBody).description),
      ["wanted"],
    );
    assert.match(
      fleet.logs.join(""),
      /wedged was lost: evicted: it has not ended a cancelled task for 60 s; trying again/,
    );
  });

  it("stays evicted until its process starts anew, for every coordinator", async (t) => {
    const { fleet, wedged, seconds } = await start(t);
    const other = await FakeFleet.start(fleet.bus, fleet.buckets, "other");
    t.after(() => other[Symbol.asyncDispose]());
    await seconds(70, [wedged]);
    assert.deepEqual([alive(fleet), alive(other)], [[], []]);
    wedged.running = [];
    await seconds(10, [wedged]);
    assert.deepEqual([alive(fleet), alive(other)], [[], []]);
    await wedged.restart();
    assert.deepEqual([alive(fleet), alive(other)], [["wedged"], ["wedged"]]);
  });

  it("has its minute from heartbeats two seconds apart, however many it sends", async (t) => {
    const { fleet, wedged, seconds } = await start(t);
    for (let i = 0; i < 100; i++) wedged.beat();
    await fleet.bus.flush();
    await seconds(50, [wedged]);
    assert.deepEqual(alive(fleet), ["wedged"]);
    wedged.running = wedged.running.slice(1);
    await seconds(60, [wedged]);
    assert.deepEqual(alive(fleet), ["wedged"]);
  });
});
