import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CacheMountHandover } from "../../../../src/coordinator/fleet/cache-mount-handover.ts";
import { silentLogger } from "../../../../src/core/seams/logger.ts";
import type { Task } from "../../../../src/core/values/task.ts";
import { FakeFleet } from "../../../helpers/fake-fleet.ts";
import { noSessions } from "../../../helpers/no-sessions.ts";

const { signal } = new AbortController();

describe("CacheMountHandover", () => {
  it("has newest versions copied that only the leaving agent has, and says who has them then", async () => {
    await using fleet = await FakeFleet.start();
    const publish = (agentId: string, key: string, version: string) =>
      fleet.cacheMounts.publish(
        agentId,
        [{ key, epoch: "", entryId: `${agentId} ${key}`, version, sizeBytes: 1, cold: false }],
        [],
        undefined,
      );
    const copies = async (task: Task) => {
      const { cacheMounts = [] } = (task as Task<"materialize">).body;
      const copied = cacheMounts.map(({ key }) => {
        const newest = task.cacheMounts.find((info) => info.key === key)?.holders[0];
        return { key, epoch: "", entryId: `copy ${key}`, version: newest?.version ?? "", sizeBytes: 1, cold: true };
      });
      return { outputs: [], layers: [], cacheMounts: copied };
    };
    await fleet.agent("leaves", copies, { draining: true });
    await fleet.agent("goes-too", copies, { draining: true });
    const stays = await fleet.agent("stays", copies);
    await publish("leaves", "sole", "v1");
    await publish("stays", "older", "v1");
    await publish("leaves", "older", "v2");
    await publish("leaves", "outdated", "v1");
    await publish("stays", "outdated", "v2");
    await publish("leaves", "of both who leave", "v1");
    const { registry, dispatcher, cacheMounts } = fleet;
    const handover = new CacheMountHandover({
      ...{ registry, dispatcher, cacheMounts, sessions: noSessions, logger: silentLogger },
    });
    assert.equal(await handover.run("leaves", signal), 3);
    const keys = stays.accepted.flatMap((task) => (task as Task<"materialize">).body.cacheMounts ?? []);
    assert.deepEqual(keys.map(({ key }) => key).toSorted(), ["of both who leave", "older", "sole"]);
    assert.equal(await handover.run("leaves", signal), 0, "others have them now");
  });

  it("copies nothing when nobody stays", async () => {
    await using fleet = await FakeFleet.start();
    await fleet.agent("leaves", async () => ({}), { draining: true });
    await fleet.cacheMounts.publish(
      "leaves",
      [{ key: "k", epoch: "", entryId: "e", version: "v", sizeBytes: 1, cold: false }],
      [],
      undefined,
    );
    const { registry, dispatcher, cacheMounts } = fleet;
    const handover = new CacheMountHandover({
      ...{ registry, dispatcher, cacheMounts, sessions: noSessions, logger: silentLogger },
    });
    assert.equal(await handover.run("leaves", signal), 0);
  });
});
