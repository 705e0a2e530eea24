import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BuildError } from "../../src/core/errors/build-error.ts";
import { Code } from "../../src/core/errors/code.ts";
import type { ContentStore } from "../../src/core/seams/content-store.ts";
import { sha256 } from "../../src/core/values/digest.ts";

/** What every ContentStore must do. */
export function runContentStoreSuite(
  name: string,
  withStore: (use: (store: ContentStore) => Promise<void>) => Promise<void>,
) {
  const hasCode = (code: number) => (e: unknown) => e instanceof BuildError && e.code === code;
  const text = "some content";
  const digest = sha256(text);

  async function* bytesOf(...parts: readonly string[]): AsyncGenerator<Uint8Array> {
    for (const part of parts) yield Buffer.from(part);
  }

  async function allOf<T>(items: AsyncIterable<T>): Promise<T[]> {
    const all: T[] = [];
    for await (const item of items) all.push(item);
    return all;
  }

  async function readAll(bytes: AsyncIterable<Uint8Array>): Promise<string> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of bytes) chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  }

  describe(`ContentStore: ${name}`, () => {
    it("keeps what is written under its digest", () =>
      withStore(async (store) => {
        assert.equal(await store.stat(digest), undefined);
        const written = await store.write(bytesOf("some ", "content"), { digest, size: text.length });
        assert.equal(written.digest, digest);
        assert.equal(written.size, text.length);
        const found = await store.stat(digest);
        assert.deepEqual([found?.digest, found?.size], [digest, text.length]);
        assert.equal(await readAll(store.read(digest)), text);
      }));

    it("learns the digest from the bytes", () =>
      withStore(async (store) => {
        assert.equal((await store.write(bytesOf(text))).digest, digest);
        assert.equal((await store.write(bytesOf())).digest, sha256(""));
        assert.equal(await readAll(store.read(sha256(""))), "");
      }));

    it("reads ranges, also beyond the end", () =>
      withStore(async (store) => {
        await store.write(bytesOf(text));
        assert.equal(await readAll(store.read(digest, { offset: 5 })), "content");
        assert.equal(await readAll(store.read(digest, { offset: 5, length: 3 })), "con");
        assert.equal(await readAll(store.read(digest, { length: 4 })), "some");
        assert.equal(await readAll(store.read(digest, { offset: 5, length: 100 })), "content");
        assert.equal(await readAll(store.read(digest, { offset: 500 })), "");
      }));

    it("keeps nothing of what does not match", () =>
      withStore(async (store) => {
        const wrong = sha256("other");
        await assert.rejects(store.write(bytesOf(text), { digest: wrong }), hasCode(Code.DataLoss));
        for (const size of [text.length - 1, text.length + 1]) {
          await assert.rejects(store.write(bytesOf(text), { digest, size }), hasCode(Code.DataLoss));
        }
        assert.equal(await store.stat(digest), undefined);
        assert.equal(await store.stat(wrong), undefined);
        assert.deepEqual(await allOf(store.list()), []);
      }));

    it("keeps nothing when the source fails or the write is aborted", () =>
      withStore(async (store) => {
        const failing = async function* () {
          yield Buffer.from("some ");
          throw new Error("source broke");
        };
        await assert.rejects(store.write(failing()), /source broke/);
        const abort = new AbortController();
        const reason = new Error("no more");
        const aborting = async function* () {
          yield Buffer.from("some ");
          abort.abort(reason);
          yield Buffer.from("content");
        };
        await assert.rejects(store.write(aborting(), {}, abort.signal), reason);
        assert.deepEqual(await allOf(store.list()), []);
      }));

    it("takes the same blob from several writers", () =>
      withStore(async (store) => {
        await Promise.all([1, 2, 3].map(() => store.write(bytesOf("some ", "content"), { digest })));
        assert.equal(await readAll(store.read(digest)), text);
        assert.equal((await allOf(store.list())).length, 1);
      }));

    it("lists and deletes", () =>
      withStore(async (store) => {
        const other = await store.write(bytesOf("other"));
        await store.write(bytesOf(text));
        const listed = (await allOf(store.list())).map((blob) => [blob.digest, blob.size]);
        assert.deepEqual(
          listed.sort(),
          [
            [digest, text.length],
            [other.digest, 5],
          ].sort(),
        );
        assert.equal(await store.delete(digest), true);
        assert.equal(await store.delete(digest), false);
        await assert.rejects(readAll(store.read(digest)), hasCode(Code.NotFound));
        assert.equal((await allOf(store.list())).length, 1);
      }));

    it("lets a reader finish what is deleted meanwhile", () =>
      withStore(async (store) => {
        const large = "0123456789".repeat(300_000);
        const blob = await store.write(bytesOf(large));
        const reader = store.read(blob.digest)[Symbol.asyncIterator]();
        const first = await reader.next();
        await store.delete(blob.digest);
        let length = first.value?.length ?? 0;
        for (let next = await reader.next(); !next.done; next = await reader.next()) length += next.value.length;
        assert.equal(length, large.length);
      }));
  });
}
