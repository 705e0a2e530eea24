import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryKeyValueStore } from "../../../../src/bus/memory/memory-key-value.ts";
import { LayerCatalog } from "../../../../src/coordinator/fleet/layer-catalog.ts";
import type { LayerId, LayerInfo } from "../../../../src/core/values/layer.ts";

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
