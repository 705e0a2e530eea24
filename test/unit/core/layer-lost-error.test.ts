import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryKeyValueStore } from "../../../src/bus/memory/memory-key-value.ts";
import { isLost } from "../../../src/coordinator/fleet/is-lost.ts";
import { LayerCatalog } from "../../../src/coordinator/fleet/layer-catalog.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { LayerLostError } from "../../../src/core/errors/layer-lost-error.ts";
import type { LayerId, LayerInfo } from "../../../src/core/values/layer.ts";

const ids = (...names: readonly string[]) => names as readonly LayerId[];
const failure = new BuildError(Code.Unavailable, "layer b is lost");
const below = new LayerLostError(failure, ids("b"));
const above = new LayerLostError(below.wrap("cannot make c"), ids("c"));

test("LayerLostError names its layers over the bus, and with context around it", () => {
  const received = BuildError.fromWire(above.toWire()).wrap("failed to push app");
  assert.ok(LayerLostError.is(received));
  assert.deepEqual(LayerLostError.layersOf(received), ["c", "b"]);
  assert.equal(received.message, "failed to push app: cannot make c: layer b is lost");
});

test("LayerLostError.final() is about something else: what was lost halfway is not made anew", () => {
  assert.ok(!LayerLostError.is(above.final()));
  assert.deepEqual(LayerLostError.layersOf(above.final()), []);
});

test("isLost() knows a layer by all names that it has had", async () => {
  const keyValues = new MemoryKeyValueStore();
  await using catalog = await LayerCatalog.open(await keyValues.open("layers"));
  const layer = (id: string): LayerInfo => ({
    ...{ id: id as LayerId, blobs: [], origins: [], holders: ["agent"], sizeBytes: 0, createdAt: 1 },
  });
  await catalog.record(["a", "b", "b again"].map(layer));
  await catalog.replace(ids("b"), ids("b again"), "b" as LayerId);
  const means = (error: Error) =>
    ["a", "b", "b again"].filter((id) => isLost(error, { layers: ids("a", id) }, catalog));
  assert.deepEqual(means(below), ["b", "b again"]);
  assert.deepEqual(means(new LayerLostError(failure)), ["a", "b", "b again"], "an error that names none means all");
});
