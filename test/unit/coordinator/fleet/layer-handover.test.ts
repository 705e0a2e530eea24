import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LayerHandover } from "../../../../src/coordinator/fleet/layer-handover.ts";
import { BuildError } from "../../../../src/core/errors/build-error.ts";
import { Code } from "../../../../src/core/errors/code.ts";
import { silentLogger } from "../../../../src/core/seams/logger.ts";
import type { UsageRecord } from "../../../../src/core/values/agent.ts";
import type { BlobOrigin, LayerId, LayerInfo } from "../../../../src/core/values/layer.ts";
import type { Task } from "../../../../src/core/values/task.ts";
import { type FakeAgent, FakeFleet } from "../../../helpers/fake-fleet.ts";
import { noSessions } from "../../../helpers/no-sessions.ts";

const signal = new AbortController().signal;
const id = (name: string) => name as LayerId;
const registryOrigin = {
  kind: "registry",
  repository: "r",
  descriptor: { digest: "sha256:0" },
} as unknown as BlobOrigin;

function layer(name: string, more: Partial<LayerInfo> = {}): LayerInfo {
  return { id: id(name), blobs: [], origins: [], holders: ["leaves"], sizeBytes: 10, createdAt: 1, ...more };
}

function moved(agent: FakeAgent): readonly string[] {
  return agent.accepted.flatMap((task) => (task as Task<"materialize">).body.ref.layers);
}

interface Known {
  readonly layers: readonly LayerInfo[];
  /** Layers that cached results stand on. */
  readonly indexed: readonly string[];
  readonly held?: readonly string[];
  readonly lastUsedAt?: Readonly<Record<string, number>>;
}

async function handover(fleet: FakeFleet, { layers, indexed, held = [], lastUsedAt = {} }: Known) {
  await fleet.catalog.record(layers);
  const usage = layers.map((info) => ({ id: info.id, lastUsedAt: lastUsedAt[info.id] ?? 0 }) as unknown as UsageRecord);
  return new LayerHandover({
    registry: fleet.registry,
    catalog: fleet.catalog,
    results: { all: () => [["result", indexed.map(id)]] },
    holds: { known: async () => new Set(held.map(id)) },
    agents: { askOne: async () => usage as never },
    dispatcher: fleet.dispatcher,
    sessions: noSessions,
    logger: silentLogger,
  });
}

const takes = async (task: Task) => ({ outputs: [(task as Task<"materialize">).body.ref], layers: [] });

describe("LayerHandover", () => {
  it("moves what the index or a build counts on and nobody else has", async () => {
    await using fleet = await FakeFleet.start();
    await fleet.agent("leaves", takes, { draining: true });
    await fleet.agent("goes-too", takes, { draining: true });
    const stays = await fleet.agent("stays", takes);
    const layers = [
      layer("sole"),
      layer("shared", { holders: ["leaves", "stays"] }),
      layer("shared-with-leaver", { holders: ["leaves", "goes-too"] }),
      layer("shared-with-lost", { holders: ["leaves", "lost"] }),
      layer("in-registry", { origins: [registryOrigin] }),
      layer("of-nobody"),
      layer("held"),
    ];
    const indexed = layers.map((info) => info.id).filter((name) => name !== "of-nobody" && name !== "held");
    const moves = await handover(fleet, { layers, indexed, held: ["held"] });
    assert.deepEqual(await moves.run("leaves", signal), { layers: 4, bytes: 40, left: 0 });
    assert.deepEqual(moved(stays).toSorted(), ["held", "shared-with-leaver", "shared-with-lost", "sole"]);
  });

  it("begins with what was used last", async () => {
    await using fleet = await FakeFleet.start();
    await fleet.agent("leaves", takes, { draining: true });
    const stays = await fleet.agent("stays", takes);
    const names = Array.from({ length: 20 }, (_, i) => `l${i}`);
    const lastUsedAt = Object.fromEntries(names.map((name, i) => [name, (i * 7) % 20]));
    const moves = await handover(fleet, { layers: names.map((name) => layer(name)), indexed: names, lastUsedAt });
    await moves.run("leaves", signal);
    // Some are on their way at the same time.
    const first = moved(stays).slice(0, 8);
    assert.ok(
      first.every((name) => (lastUsedAt[name] ?? 0) >= 12),
      first.join(),
    );
  });

  it("keeps layers together that stand on each other, and spreads the others", async () => {
    await using fleet = await FakeFleet.start();
    await fleet.agent("leaves", takes, { draining: true });
    const others = [await fleet.agent("a", takes), await fleet.agent("b", takes), await fleet.agent("c", takes)];
    const chain = (root: string) => [
      layer(root),
      layer(`${root}-2`, { parent: id(root) }),
      layer(`${root}-3`, { parent: id(`${root}-2`) }),
    ];
    const layers = Array.from({ length: 30 }, (_, i) => chain(`root${i}`)).flat();
    const moves = await handover(fleet, { layers, indexed: layers.map((info) => info.id) });
    assert.equal((await moves.run("leaves", signal)).layers, 90);
    for (const agent of others) {
      const roots = Map.groupBy(moved(agent), (name) => name.split("-")[0]);
      assert.ok(roots.size > 0, `nothing went to ${agent.id}`);
      for (const stack of roots.values()) assert.equal(stack.length, 3);
    }
  });

  it("asks another agent when one cannot take a layer, and says what is left", async () => {
    await using fleet = await FakeFleet.start();
    const fails = async (): Promise<object> => {
      throw new BuildError(Code.ResourceExhausted, "disk is full");
    };
    await fleet.agent("leaves", takes, { draining: true });
    const full = await fleet.agent("full", fails);
    const names = Array.from({ length: 10 }, (_, i) => `l${i}`);
    const known = { layers: names.map((name) => layer(name)), indexed: names };
    assert.deepEqual(await (await handover(fleet, known)).run("leaves", signal), { layers: 0, bytes: 0, left: 10 });
    await fleet.agent("roomy", takes);
    assert.deepEqual(await (await handover(fleet, known)).run("leaves", signal), { layers: 10, bytes: 100, left: 0 });
    assert.ok(moved(full).length > 0);
  });

  it("leaves everything when there is nobody", async () => {
    await using fleet = await FakeFleet.start();
    await fleet.agent("leaves", takes, { draining: true });
    const moves = await handover(fleet, { layers: [layer("sole")], indexed: ["sole"] });
    assert.deepEqual(await moves.run("leaves", signal), { layers: 0, bytes: 0, left: 1 });
  });
});
