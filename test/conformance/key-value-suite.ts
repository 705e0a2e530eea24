import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BuildError } from "../../src/core/errors/build-error.ts";
import { Code } from "../../src/core/errors/code.ts";
import type { KeyValueStore } from "../../src/core/seams/key-value.ts";

/** What every KeyValueStore must do. */
export function runKeyValueSuite(
  name: string,
  withStore: (use: (store: KeyValueStore) => Promise<void>) => Promise<void>,
) {
  const bytes = (text: string) => new TextEncoder().encode(text);
  const text = (data: Uint8Array | undefined) => (data === undefined ? undefined : new TextDecoder().decode(data));
  const hasCode = (code: number) => (e: unknown) => e instanceof BuildError && e.code === code;

  describe(`KeyValueStore: ${name}`, () => {
    it("gets what was put, and nothing after delete", () =>
      withStore(async (store) => {
        const kv = await store.open("plain");
        assert.equal(await kv.get("a"), undefined);
        await kv.put("a", bytes("1"));
        await kv.put("a", bytes("2"));
        assert.equal(text((await kv.get("a"))?.value), "2");
        await kv.delete("a");
        assert.equal(await kv.get("a"), undefined);
        assert.equal(await (await store.open("other")).get("a"), undefined);
      }));

    it("lets one of two creators win", () =>
      withStore(async (store) => {
        const kv = await store.open("create");
        await kv.create("a", bytes("1"));
        await assert.rejects(kv.create("a", bytes("2")), hasCode(Code.AlreadyExists));
        assert.equal(text((await kv.get("a"))?.value), "1");
      }));

    it("refuses an update on an old revision", () =>
      withStore(async (store) => {
        const kv = await store.open("update");
        const first = await kv.put("a", bytes("1"));
        const second = await kv.update("a", bytes("2"), first);
        await assert.rejects(kv.update("a", bytes("3"), first), hasCode(Code.Aborted));
        await kv.update("a", bytes("4"), second);
        assert.equal(text((await kv.get("a"))?.value), "4");
      }));

    it("deletes only the revision that is meant, and lets the key be made again", () =>
      withStore(async (store) => {
        const kv = await store.open("delete");
        const first = await kv.create("a", bytes("1"));
        const second = await kv.update("a", bytes("2"), first);
        await assert.rejects(kv.delete("a", first), hasCode(Code.Aborted));
        assert.equal(text((await kv.get("a"))?.value), "2");
        await kv.delete("a", second);
        await assert.rejects(kv.delete("a", second), hasCode(Code.Aborted));
        await assert.rejects(kv.update("a", bytes("3"), second), hasCode(Code.Aborted));
        assert.ok((await kv.create("a", bytes("4"))) > second);
        assert.equal(text((await kv.get("a"))?.value), "4");
      }));

    it("watches current entries first and then each change", () =>
      withStore(async (store) => {
        const kv = await store.open("watch");
        await kv.put("p.old", bytes("0"));
        await kv.put("q.not", bytes("x"));
        const seen: string[] = [];
        const done = Promise.withResolvers<void>();
        using watch = kv.watch("p.", (change) => {
          seen.push(`${change.key}=${text(change.value)}`);
          if (change.key === "p.end") done.resolve();
        });
        await watch.ready;
        assert.deepEqual(seen, ["p.old=0"]);
        await kv.put("p.new", bytes("1"));
        await kv.delete("p.old");
        await kv.put("p.end", bytes("2"));
        await done.promise;
        assert.deepEqual(seen, ["p.old=0", "p.new=1", "p.old=undefined", "p.end=2"]);
      }));

    it("tells a watch when it has caught up with all writers", () =>
      withStore(async (store) => {
        const [reader, writer] = [await store.open("caught-up"), await store.open("caught-up")];
        await writer.put("early", bytes("0"));
        const seen = new Map<string, string | undefined>();
        using watch = reader.watch("", ({ key, value }) => void seen.set(key, text(value)));
        await watch.ready;
        await watch.caughtUp();
        for (let i = 1; i <= 20; i++) {
          await writer.put("k", bytes(String(i)));
          await watch.caughtUp();
          assert.equal(seen.get("k"), String(i));
        }
        await writer.delete("k");
        await watch.caughtUp();
        assert.equal(seen.get("k"), undefined);
        using later = reader.watch("", () => {});
        await later.ready;
        await later.caughtUp();
      }));

    it("is ready at once on an empty bucket", () =>
      withStore(async (store) => {
        const kv = await store.open("empty");
        using watch = kv.watch("", () => assert.fail("no entry expected"));
        await watch.ready;
      }));
  });
}
