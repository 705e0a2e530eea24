import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryKeyValueStore } from "../../../../src/bus/memory/memory-key-value.ts";
import { LayerCatalog } from "../../../../src/coordinator/fleet/layer-catalog.ts";
import type { LayerId, LayerInfo } from "../../../../src/core/values/layer.ts";
import { encode } from "../../../../src/util/msgpack.ts";

function layer(change: Partial<LayerInfo>): LayerInfo {
  return {
    id: "l" as LayerId,
    blobs: [],
    origins: [],
    holders: [],
    sizeBytes: 0,
    createdAt: 20,
    description: "pulled",
    ...change,
  };
}

test("a layer that nobody holds is said to be made when and as the earliest account has it", async () => {
  const keyValues = new MemoryKeyValueStore();
  await using catalog = await LayerCatalog.open(await keyValues.open("layers"));
  const birth = () => {
    const { createdAt, description } = catalog.require("l" as LayerId);
    return [createdAt, description];
  };
  await catalog.record([layer({})]);
  await catalog.record([layer({ createdAt: 10, description: "RUN make" })]);
  assert.deepEqual(birth(), [10, "RUN make"]);
  await catalog.record([layer({})]);
  assert.deepEqual(birth(), [10, "RUN make"]);
  await catalog.addHolder("l" as LayerId, "agent");
  await catalog.record([layer({ createdAt: 5, description: "older" })]);
  assert.deepEqual(birth(), [10, "RUN make"]);
});

test("a lost layer that is made again as itself keeps its holders and is replaced by nothing", async () => {
  const keyValues = new MemoryKeyValueStore();
  await using catalog = await LayerCatalog.open(await keyValues.open("layers"));
  const id = "l" as LayerId;
  await catalog.record([layer({})]);
  assert.equal(await catalog.claim(id, "coordinator", () => true), true);
  await catalog.addHolder(id, "agent");
  await catalog.replace([id], [id], id);
  assert.deepEqual(catalog.require(id), layer({ holders: ["agent"] }));
  assert.equal(catalog.current(id), id);
  assert.equal(await catalog.claim(id, "another", () => true), true, "the claim is given up");
});

test("a layer that was made again as what it had replaced is that, and neither leads to itself", async () => {
  const keyValues = new MemoryKeyValueStore();
  await using catalog = await LayerCatalog.open(await keyValues.open("layers"));
  const [first, second] = ["first", "second"] as LayerId[] as [LayerId, LayerId];
  await catalog.record([layer({ id: first }), layer({ id: second, holders: ["agent"] })]);
  await catalog.replace([first], [second], first);
  await catalog.replace([second], [first], second);
  assert.equal(catalog.current(first), second);
  assert.deepEqual(catalog.require(first).holders, ["agent"]);
  assert.deepEqual(catalog.namesOf(second), [second, first]);
});

test("layers that two coordinators replace by each other at once do not lead in a circle", async () => {
  const keyValues = new MemoryKeyValueStore();
  const bucket = await keyValues.open("layers");
  const [first, second] = ["first", "second"] as LayerId[] as [LayerId, LayerId];
  await bucket.create(first, encode(layer({ id: first, replacedBy: second })));
  await bucket.create(second, encode(layer({ id: second, replacedBy: first })));
  await bucket.create("own", encode(layer({ id: "own" as LayerId, replacedBy: "own" as LayerId })));
  await using catalog = await LayerCatalog.open(bucket);
  await catalog.caughtUp();
  for (const id of [first, second, "own" as LayerId]) {
    const current = catalog.current(id);
    assert.equal((await catalog.find(id))?.id, current);
    assert.equal(await catalog.claim(current, "coordinator", (known) => known.replacedBy === undefined), true);
  }
  assert.equal(catalog.current(first), catalog.current(second));
});
