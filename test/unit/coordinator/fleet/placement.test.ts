import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Candidate, EarliestFinishPlacement } from "../../../../src/coordinator/fleet/placement.ts";
import type { AgentRecord } from "../../../../src/core/values/agent.ts";
import { layerInfo } from "../../../helpers/fake-fleet.ts";

const placement = new EarliestFinishPlacement();
const agent = (id: string, busySlots: number, slots = 2): Candidate => ({
  agent: { id, slots } as AgentRecord,
  busySlots,
  tasks: busySlots,
});
const mount = (sizeBytes: number, ...holders: readonly (readonly [agentId: string, version: string])[]) => ({
  key: "k",
  epoch: "",
  holders: holders.map(([agentId, version]) => ({ agentId, entryId: agentId, version, sizeBytes })),
});
const request = (more: Partial<Parameters<EarliestFinishPlacement["choose"]>[0]> = {}) => ({
  layers: [],
  cacheMounts: [],
  waitedMs: 0,
  needsSlot: true,
  ...more,
});

describe("EarliestFinishPlacement with cache mounts", () => {
  it("goes where the newest version is, not to older ones", () => {
    const cacheMounts = [mount(1e9, ["b", "new"], ["a", "old"])];
    assert.equal(placement.choose(request({ cacheMounts }), [agent("a", 0), agent("b", 0)])?.id, "b");
    const copied = [mount(1e9, ["b", "new"], ["c", "new"])];
    assert.equal(placement.choose(request({ cacheMounts: copied }), [agent("a", 0), agent("c", 1)])?.id, "c");
  });

  it("weighs the mount's bytes against those of missing layers, and against the queue", () => {
    const layers = [layerInfo("l", { holders: ["a"], sizeBytes: 500e6 })];
    const agents = [agent("a", 0), agent("b", 0)];
    assert.equal(placement.choose(request({ layers, cacheMounts: [mount(100e6, ["b", "v"])] }), agents)?.id, "a");
    assert.equal(placement.choose(request({ layers, cacheMounts: [mount(900e6, ["b", "v"])] }), agents)?.id, "b");
    const small = [mount(1e6, ["b", "v"])];
    assert.equal(placement.choose(request({ cacheMounts: small }), [agent("a", 0), agent("b", 1)])?.id, "a");
  });

  it("waits for a slot of a warm agent as long as the copy would take, five seconds at most", () => {
    const agents = [agent("a", 0), agent("b", 2)];
    const choose = (sizeBytes: number, waitedMs: number) =>
      placement.choose(request({ cacheMounts: [mount(sizeBytes, ["b", "v"])], waitedMs }), agents)?.id;
    assert.equal(choose(200e6, 0), undefined);
    assert.equal(choose(200e6, 999), undefined);
    assert.equal(choose(200e6, 1000), "a");
    assert.equal(choose(50e9, 4999), undefined);
    assert.equal(choose(50e9, 5000), "a");
  });

  it("waits for nobody when no agent has the mount, or none of those is there", () => {
    const agents = [agent("a", 0), agent("b", 2)];
    assert.equal(placement.choose(request({ cacheMounts: [mount(0)] }), agents)?.id, "a");
    assert.equal(placement.choose(request({ cacheMounts: [mount(0, ["gone", "v"])] }), agents)?.id, "a");
  });
});
