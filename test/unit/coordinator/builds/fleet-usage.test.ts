import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { subjects } from "../../../../src/bus/index.ts";
import { FleetUsage } from "../../../../src/coordinator/builds/fleet-usage.ts";
import { BuildError } from "../../../../src/core/errors/build-error.ts";
import { Code } from "../../../../src/core/errors/code.ts";
import { silentLogger } from "../../../../src/core/seams/logger.ts";
import { encode } from "../../../../src/util/msgpack.ts";
import { FakeFleet } from "../../../helpers/fake-fleet.ts";

const { signal } = new AbortController();
const never = () => new Promise<object>(() => {});

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
    const records = await new FleetUsage(fleet.bus, fleet.registry, silentLogger).usage(signal);
    assert.deepEqual(records, [{ id: "x" }]);
  });

  it("does not wait for an agent that is lost meanwhile", async () => {
    await using fleet = await FakeFleet.start();
    const a = await fleet.agent("a", never);
    fleet.bus.subscribe(subjects.agentControl("a"), () => {});
    const records = new FleetUsage(fleet.bus, fleet.registry, silentLogger).usage(signal);
    await a.restart();
    assert.deepEqual(await records, []);
  });
});
