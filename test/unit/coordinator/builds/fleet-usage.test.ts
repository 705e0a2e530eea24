import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { subjects } from "../../../../src/bus/index.ts";
import { FleetUsage } from "../../../../src/coordinator/builds/fleet-usage.ts";
import { AgentControl } from "../../../../src/coordinator/fleet/agent-control.ts";
import { BuildError } from "../../../../src/core/errors/build-error.ts";
import { Code } from "../../../../src/core/errors/code.ts";
import { silentLogger } from "../../../../src/core/seams/logger.ts";
import type { PruneOptions } from "../../../../src/core/values/agent.ts";
import type { LayerId } from "../../../../src/core/values/layer.ts";
import { encode } from "../../../../src/util/msgpack.ts";
import { FakeFleet } from "../../../helpers/fake-fleet.ts";

const { signal } = new AbortController();
const never = () => new Promise<object>(() => {});
const options: PruneOptions = {
  ...{ filter: [], all: true, keepDurationMs: 0, reservedSpace: 0, maxUsedSpace: 0, minFreeSpace: 0 },
};

function usageOf(fleet: FakeFleet, held: readonly string[] = []) {
  const pruned: { readonly ids: readonly string[]; readonly thorough: boolean }[] = [];
  const usage = new FleetUsage({
    agents: new AgentControl(fleet.bus, fleet.registry, silentLogger),
    holds: { known: async () => new Set(held as readonly LayerId[]) },
    index: {
      pruned: async (records, thorough) => void pruned.push({ ids: records.map(({ id }) => id), thorough }),
    },
  });
  return { usage, pruned };
}

describe("FleetUsage", () => {
  it("merges what agents answer and goes on without one that fails", async () => {
    await using fleet = await FakeFleet.start();
    const error = new BuildError(Code.Internal, "disk trouble").toWire();
    for (const [id, reply] of [
      ["a", [{ id: "x" }]],
      ["b", { error }],
    ] as const) {
      await fleet.agent(id, never);
      fleet.bus.subscribe(subjects.agentControl(id), (message) => message.respond(encode(reply)));
    }
    const records = await usageOf(fleet).usage.usage(signal);
    assert.deepEqual(records, [{ id: "x" }]);
  });

  it("does not wait for an agent that is lost meanwhile", async () => {
    await using fleet = await FakeFleet.start();
    const a = await fleet.agent("a", never);
    fleet.bus.subscribe(subjects.agentControl("a"), () => {});
    const records = usageOf(fleet).usage.usage(signal);
    await a.restart();
    assert.deepEqual(await records, []);
  });

  it("says of what builds of any coordinator hold that it is in use", async () => {
    await using fleet = await FakeFleet.start();
    await fleet.agent("a", never);
    const records = [
      { id: "held", inUse: false },
      { id: "free", inUse: false },
    ];
    fleet.bus.subscribe(subjects.agentControl("a"), (message) => message.respond(encode(records)));
    assert.deepEqual(await usageOf(fleet, ["held"]).usage.usage(signal), [
      { id: "held", inUse: true },
      { id: "free", inUse: false },
    ]);
  });

  it("cleans the index after a prune, thoroughly after one of everything", async () => {
    await using fleet = await FakeFleet.start();
    await fleet.agent("a", never);
    fleet.bus.subscribe(subjects.agentControl("a"), (message) => message.respond(encode([{ id: "x" }])));
    const { usage, pruned } = usageOf(fleet);
    await usage.prune(options, signal);
    await usage.prune({ ...options, filter: ["id==x"] }, signal);
    await usage.prune({ ...options, maxUsedSpace: 1 }, signal);
    assert.deepEqual(pruned, [
      { ids: ["x"], thorough: true },
      { ids: ["x"], thorough: false },
      { ids: ["x"], thorough: false },
    ]);
  });
});
