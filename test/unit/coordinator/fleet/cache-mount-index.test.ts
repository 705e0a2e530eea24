import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { MemoryKeyValueStore } from "../../../../src/bus/index.ts";
import { CacheMountIndex } from "../../../../src/coordinator/fleet/cache-mount-index.ts";
import type { KeyValue } from "../../../../src/core/seams/key-value.ts";
import type { CacheMountUse } from "../../../../src/core/values/cache-mount.ts";

describe("CacheMountIndex", () => {
  let bucket: KeyValue;
  let index: CacheMountIndex;
  const published = (key: string, entryId: string, version: string, epoch = "") => ({
    ...{ key, entryId, version, epoch },
    sizeBytes: 1,
    cold: false,
  });
  const versions = (key: string, from = index) =>
    from.get(key).holders.map(({ agentId, version }) => `${agentId} ${version}`);
  const use = (id: string, key = id): CacheMountUse => ({ id, key, nested: key !== id, sharing: "shared" });

  beforeEach(async () => {
    bucket = await new MemoryKeyValueStore().open("cache-mounts");
    index = await CacheMountIndex.open(bucket);
  });

  it("tells the newest version first, one for each directory, to every coordinator", async () => {
    const other = await CacheMountIndex.open(bucket);
    await index.publish("a", published("k", "e1", "v1"));
    await other.publish("b", published("k", "e2", "v2"));
    await index.publish("a", published("k", "e1", "v3"));
    await new Promise(setImmediate);
    assert.deepEqual(versions("k"), ["a v3", "b v2"]);
    assert.deepEqual(versions("k", other), ["a v3", "b v2"]);
    assert.deepEqual(versions("other"), []);
  });

  it("puts what began cold behind what others have", async () => {
    await index.publish("a", { ...published("k", "e1", "v1"), cold: true });
    await index.publish("b", { ...published("k", "e2", "v2"), cold: true });
    assert.deepEqual(versions("k"), ["a v1", "b v2"]);
    await index.publish("c", published("k", "e3", "v3"));
    await index.publish("a", { ...published("k", "e1", "v4"), cold: true });
    assert.deepEqual(versions("k"), ["c v3", "b v2", "a v4"]);
  });

  it("puts a copy behind what it is a copy of, before what is older", async () => {
    await index.publish("a", published("k", "e1", "v1"));
    await index.publish("b", published("k", "e2", "v2"));
    await index.publish("c", { ...published("k", "e3", "v2"), cold: true });
    assert.deepEqual(versions("k"), ["b v2", "c v2", "a v1"]);
    await index.publish("a", published("k", "e1", "v4"));
    await index.publish("d", { ...published("k", "e4", "v2"), cold: true });
    assert.deepEqual(versions("k"), ["a v4", "b v2", "c v2", "d v2"]);
  });

  it("loses nothing when coordinators write at the same time", async () => {
    const other = await CacheMountIndex.open(bucket);
    const writes = Array.from({ length: 10 }, (_, i) =>
      (i % 2 === 0 ? index : other).publish("a", published("k", `e${i}`, `v${i}`)),
    );
    await Promise.all(writes);
    await new Promise(setImmediate);
    assert.equal(index.get("k").holders.length, 10);
  });

  it("forgets directories that are gone, and mounts that nobody has", async () => {
    await index.publish("a", published("k", "e1", "v1"));
    await index.publish("b", published("k", "e2", "v2"));
    await index.drop("a", ["e1", "e2"]);
    assert.deepEqual(versions("k"), ["b v2"]);
    await index.drop("b", ["e2"]);
    assert.deepEqual(versions("k"), []);
    await index.publish("a", published("k", "e1", "v4"));
    assert.deepEqual(versions("k"), ["a v4"]);
  });

  it("begins a new epoch of an id, in which what began before is not published", async () => {
    await index.publish("a", published("id", "e1", "v1"));
    await index.publish("a", published("id:ref", "e2", "v2"));
    await index.publish("a", published("id2", "e3", "v3"));
    await index.forget(use("id"), () => false);
    assert.deepEqual(
      ["id", "id:ref", "id2"].map((key) => versions(key).length),
      [0, 1, 1],
    );
    await index.publish("a", published("id", "e1", "v4"));
    assert.deepEqual(versions("id"), []);
    await index.publish("a", published("id", "e4", "v5", index.get("id").epoch));
    assert.deepEqual(versions("id"), ["a v5"]);
  });

  it("begins one for all mounts of an id that start from inputs, but for those that are spared", async () => {
    for (const key of ["id", "id:one", "id:two"]) await index.publish("a", published(key, key, "v"));
    await index.forget(use("id", "id:new"), (key) => key === "id:two");
    assert.deepEqual(
      ["id", "id:one", "id:two"].map((key) => versions(key).length),
      [1, 0, 1],
    );
    assert.equal(index.get("id:new").epoch, "");
  });

  it("learns sizes, and forgets all of an agent that does not come back", async () => {
    await index.publish("a", published("k", "e1", "v1"));
    await index.publish("b", published("k", "e2", "v2"));
    await index.resize({ agentId: "a", key: "k", entryId: "e1", sizeBytes: 500 });
    await index.resize({ agentId: "a", key: "k", entryId: "e2", sizeBytes: 600 });
    await index.resize({ agentId: "a", key: "unknown", entryId: "e1", sizeBytes: 700 });
    assert.deepEqual(
      index.get("k").holders.map(({ sizeBytes }) => sizeBytes),
      [1, 500],
    );
    assert.deepEqual([...index.agents], ["b", "a"]);
    await index.drop("a");
    assert.deepEqual(versions("k"), ["b v2"]);
  });
});
