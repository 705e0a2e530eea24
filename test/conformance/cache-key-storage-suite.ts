import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CacheKeyStorage, CacheLink } from "../../src/core/seams/cache-storage.ts";
import { sha256 } from "../../src/core/values/digest.ts";

export interface CacheKeyStorageFixture {
  readonly storage: CacheKeyStorage;
  /** A second one over the same store, opened now; absent when the store dies with its process. */
  readonly reopen?: () => Promise<CacheKeyStorage>;
}

/** What every CacheKeyStorage must do. */
export function runCacheKeyStorageSuite(
  name: string,
  withStorage: (use: (fixture: CacheKeyStorageFixture) => Promise<void>) => Promise<void>,
) {
  const link = (op: string, more: Partial<CacheLink> = {}): CacheLink => ({
    input: 0,
    output: 0,
    digest: sha256(op),
    selector: "",
    ...more,
  });
  const sortedKeys = async (storage: CacheKeyStorage) => {
    const keys: string[] = [];
    for await (const key of storage.keys()) keys.push(key);
    return keys.sort();
  };

  describe(`CacheKeyStorage: ${name}`, () => {
    it("finds targets by every part of a link", () =>
      withStorage(async ({ storage }) => {
        await storage.addLink("a", link("x"), "b");
        await storage.addLink("a", link("x"), "b");
        await storage.addLink("a", link("x"), "c");
        assert.deepEqual([...(await storage.links("a", link("x")))].sort(), ["b", "c"]);
        for (const other of [
          link("y"),
          link("x", { input: 1 }),
          link("x", { output: 1 }),
          link("x", { selector: "s" }),
        ]) {
          assert.deepEqual(await storage.links("a", other), []);
        }
        assert.deepEqual(await storage.links("b", link("x")), []);
      }));

    it("says that a key exists when it has a result or a link", () =>
      withStorage(async ({ storage }) => {
        assert.equal(await storage.exists("a"), false);
        await storage.addLink("a", link("x"), "b");
        await storage.addResult("c", { id: "r", createdAt: 1 });
        assert.deepEqual(await Promise.all(["a", "b", "c"].map((key) => storage.exists(key))), [true, false, true]);
        assert.deepEqual(await sortedKeys(storage), ["a", "b", "c"]);
      }));

    it("keeps results with their time, the last one for an id", () =>
      withStorage(async ({ storage }) => {
        await storage.addResult("a", { id: "r1", createdAt: 1_700_000_000_000.25 });
        await storage.addResult("a", { id: "r2", createdAt: 2 });
        await storage.addResult("a", { id: "r2", createdAt: 3 });
        const results = [...(await storage.results("a"))].sort((x, y) => x.id.localeCompare(y.id));
        assert.deepEqual(results, [
          { id: "r1", createdAt: 1_700_000_000_000.25 },
          { id: "r2", createdAt: 3 },
        ]);
        assert.deepEqual(await storage.results("b"), []);
      }));

    it("lists backlinks", () =>
      withStorage(async ({ storage }) => {
        await storage.addLink("a", link("x", { selector: "s" }), "c");
        await storage.addLink("b", link("x", { input: 1 }), "c");
        await storage.addLink("a", link("y"), "d");
        const backlinks = [...(await storage.backlinks("c"))].sort((x, y) => x.key.localeCompare(y.key));
        assert.deepEqual(backlinks, [
          { key: "a", input: 0, selector: "s", rootKey: sha256(`${sha256("x")}@0`) },
          { key: "b", input: 1, selector: "", rootKey: sha256(`${sha256("x")}@0`) },
        ]);
        assert.deepEqual(await storage.backlinks("a"), []);
      }));

    it("releases a result everywhere and prunes what then leads nowhere", () =>
      withStorage(async ({ storage }) => {
        await storage.addLink("root", link("x"), "mid");
        await storage.addLink("mid", link("y"), "leaf");
        await storage.addLink("mid", link("z"), "other");
        await storage.addResult("leaf", { id: "r", createdAt: 1 });
        await storage.addResult("alias", { id: "r", createdAt: 1 });
        await storage.addResult("other", { id: "kept", createdAt: 1 });
        await storage.release("r");
        assert.deepEqual(await sortedKeys(storage), ["mid", "other", "root"]);
        assert.deepEqual(await storage.links("mid", link("y")), []);
        assert.deepEqual(await storage.links("root", link("x")), ["mid"]);
        await storage.release("kept");
        assert.deepEqual(await sortedKeys(storage), []);
        await storage.release("never seen");
      }));

    it("keeps a key whose result went while links lead on from it", () =>
      withStorage(async ({ storage }) => {
        await storage.addLink("a", link("x"), "b");
        await storage.addResult("a", { id: "ra", createdAt: 1 });
        await storage.addResult("b", { id: "rb", createdAt: 1 });
        await storage.release("ra");
        assert.deepEqual(await storage.links("a", link("x")), ["b"]);
        assert.deepEqual(await storage.results("a"), []);
      }));

    it("drops keys from which no result can be reached, rings of them too", () =>
      withStorage(async ({ storage, reopen }) => {
        await storage.addLink("root", link("x"), "kept");
        await storage.addLink("root", link("y"), "nothing");
        await storage.addLink("nothing", link("z"), "less");
        await storage.addLink("one", link("x"), "other");
        await storage.addLink("other", link("x"), "one");
        await storage.addLink("ring", link("x"), "ring-with-result");
        await storage.addLink("ring-with-result", link("x"), "ring");
        await storage.addResult("kept", { id: "r", createdAt: 1 });
        await storage.addResult("ring-with-result", { id: "q", createdAt: 1 });
        await storage.releaseUnreferenced();
        for (const opened of [storage, ...(reopen === undefined ? [] : [await reopen()])]) {
          assert.deepEqual(await sortedKeys(opened), ["kept", "ring", "ring-with-result", "root"]);
          assert.deepEqual(await opened.links("root", link("x")), ["kept"]);
          assert.deepEqual(await opened.links("root", link("y")), []);
        }
      }));

    it("has everything after it was opened again", () =>
      withStorage(async ({ storage, reopen }) => {
        if (reopen === undefined) return;
        await storage.addLink("a", link("x"), "b");
        await storage.addLink("a", link("x"), "gone");
        await storage.addResult("b", { id: "r", createdAt: 1 });
        await storage.addResult("gone", { id: "g", createdAt: 1 });
        await storage.release("g");
        const again = await reopen();
        assert.deepEqual(await again.links("a", link("x")), ["b"]);
        assert.deepEqual(await again.results("b"), [{ id: "r", createdAt: 1 }]);
        assert.deepEqual(await sortedKeys(again), ["a", "b"]);
      }));
  });
}
