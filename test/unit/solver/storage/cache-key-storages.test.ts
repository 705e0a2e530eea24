import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { MemoryKeyValueStore } from "../../../../src/bus/memory/memory-key-value.ts";
import { silentLogger } from "../../../../src/core/seams/logger.ts";
import { sha256 } from "../../../../src/core/values/digest.ts";
import { KeyValueCacheKeyStorage, MemoryCacheKeyStorage, SqliteCacheKeyStorage } from "../../../../src/solver/index.ts";
import { runCacheKeyStorageSuite } from "../../../conformance/cache-key-storage-suite.ts";

runCacheKeyStorageSuite("memory", (use) => use({ storage: new MemoryCacheKeyStorage() }));

runCacheKeyStorageSuite("sqlite", (use) =>
  inTempDir(async (dir) => {
    const open = () => SqliteCacheKeyStorage.open({ path: join(dir, "cache.db"), logger: silentLogger });
    using storage = open();
    using opened = new DisposableStack();
    await use({ storage, reopen: async () => opened.use(open()) });
  }),
);

runCacheKeyStorageSuite("key-value", async (use) => {
  const bucket = await new MemoryKeyValueStore().open("cache-keys");
  using storage = await KeyValueCacheKeyStorage.open(bucket);
  using opened = new DisposableStack();
  await use({ storage, reopen: async () => opened.use(await KeyValueCacheKeyStorage.open(bucket)) });
});

const link = { input: 0, output: 0, digest: sha256("op"), selector: "" };

describe("SqliteCacheKeyStorage", () => {
  it("moves a file that is no database away and starts anew", () =>
    inTempDir(async (dir) => {
      const path = join(dir, "cache.db");
      await writeFile(path, "this is not a database, and long enough to be looked at as one".repeat(100));
      using storage = SqliteCacheKeyStorage.open({ path, logger: silentLogger });
      await storage.addLink("a", link, "b");
      assert.deepEqual(await storage.links("a", link), ["b"]);
      assert.match(await readFile(`${path}.bak`, "utf8"), /^this is not a database/);
    }));

  it("moves a damaged database away", () =>
    inTempDir(async (dir) => {
      const path = join(dir, "cache.db");
      {
        using storage = SqliteCacheKeyStorage.open({ path, logger: silentLogger });
        for (let i = 0; i < 500; i++) await storage.addLink(`key ${i}`, link, `target ${i}`);
      }
      const data = await readFile(path);
      data.fill(0xa5, 4096, 4096 * 6);
      await writeFile(path, data);
      using storage = SqliteCacheKeyStorage.open({ path, logger: silentLogger });
      assert.deepEqual(await storage.links("key 1", link), []);
      assert.equal((await readFile(`${path}.bak`)).length, data.length);
    }));

  it("does not hide other errors", () =>
    inTempDir(async (dir) => {
      assert.throws(() => SqliteCacheKeyStorage.open({ path: join(dir, "missing", "cache.db"), logger: silentLogger }));
    }));
});

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
      watch: () => ({ ready: Promise.resolve(), [Symbol.dispose]: () => {} }),
    });
    await storage.addLink("a", link, "b");
    assert.deepEqual(await storage.links("a", link), ["b"]);
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

async function inTempDir(use: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "cache-keys-"));
  try {
    await use(dir);
  } finally {
    await rm(dir, { recursive: true });
  }
}
