import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MemoryKeyValueStore } from "../../../../src/bus/memory/memory-key-value.ts";
import { sha256 } from "../../../../src/core/values/digest.ts";
import { KeyValueCacheKeyStorage, MemoryCacheKeyStorage } from "../../../../src/solver/index.ts";
import { runCacheKeyStorageSuite } from "../../../conformance/cache-key-storage-suite.ts";

runCacheKeyStorageSuite("memory", (use) => use({ storage: new MemoryCacheKeyStorage() }));

runCacheKeyStorageSuite("key-value", async (use) => {
  const bucket = await new MemoryKeyValueStore().open("cache-keys");
  using storage = await KeyValueCacheKeyStorage.open(bucket);
  using opened = new DisposableStack();
  await use({ storage, reopen: async () => opened.use(await KeyValueCacheKeyStorage.open(bucket)) });
});

const link = { input: 0, output: 0, digest: sha256("op"), selector: "" };

describe("KeyValueCacheKeyStorage", () => {
  it("shows what another process wrote or released", async () => {
    const bucket = await new MemoryKeyValueStore().open("cache-keys");
    using one = await KeyValueCacheKeyStorage.open(bucket);
    using two = await KeyValueCacheKeyStorage.open(bucket);
    await one.addLink("a", link, "b");
    await one.addResult("b", { id: "r", createdAt: 1 });
    await settled();
    assert.deepEqual(await two.links("a", link), ["b"]);
    assert.deepEqual(await two.results("b"), [{ id: "r", createdAt: 1 }]);
    await two.release("r");
    await settled();
    assert.equal(await one.exists("a"), false);
    assert.deepEqual(await one.results("b"), []);
  });

  it("finds what it wrote before the watch tells", async () => {
    const bucket = await new MemoryKeyValueStore().open("cache-keys");
    using storage = await KeyValueCacheKeyStorage.open({
      ...bound(bucket),
      watch: () => ({ ready: Promise.resolve(), caughtUp: async () => {}, [Symbol.dispose]: () => {} }),
    });
    await storage.addLink("a", link, "b");
    assert.deepEqual(await storage.links("a", link), ["b"]);
  });
});

describe("MemoryCacheKeyStorage", () => {
  it("keeps what is added while it drops keys, with what leads to it", async () => {
    const storage = new MemoryCacheKeyStorage();
    const count = 5000;
    for (let i = 0; i < count; i++) await storage.addLink(`from-${i}`, link, `to-${i}`);
    await storage.addResult("to-0", { id: "r", createdAt: 1 });
    const released = storage.releaseUnreferenced();
    await new Promise((resolve) => setImmediate(resolve));
    await storage.addResult(`to-${count - 1}`, { id: "q", createdAt: 1 });
    await storage.addLink("above", link, `from-${count - 1}`);
    await released;
    const keys = await Array.fromAsync(storage.keys());
    const expected = ["above", "from-0", `from-${count - 1}`, "to-0", `to-${count - 1}`];
    assert.deepEqual(keys.sort(), expected);
    assert.deepEqual(await storage.links(`from-${count - 1}`, link), [`to-${count - 1}`]);
  });
});

function bound(bucket: Awaited<ReturnType<MemoryKeyValueStore["open"]>>) {
  return {
    get: bucket.get.bind(bucket),
    put: bucket.put.bind(bucket),
    create: bucket.create.bind(bucket),
    update: bucket.update.bind(bucket),
    delete: bucket.delete.bind(bucket),
  };
}

async function settled(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
}
