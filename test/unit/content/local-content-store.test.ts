import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { LocalContentStore } from "../../../src/content/index.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { type Digest, digestHex, sha256 } from "../../../src/core/values/digest.ts";
import { runContentStoreSuite } from "../../conformance/content-store-suite.ts";

async function withRoot(use: (root: string) => Promise<void>): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), "content-"));
  try {
    await use(root);
  } finally {
    rmSync(root, { recursive: true });
  }
}

runContentStoreSuite("local files", (use) =>
  withRoot(async (root) => {
    await use(await LocalContentStore.open(root));
    assert.deepEqual(readdirSync(join(root, "ingest")), []);
  }),
);

async function allOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

const text = "0123456789";
const digest = sha256(text);
const hasCode = (code: number) => (e: unknown) => e instanceof BuildError && e.code === code;

describe("LocalContentStore", () => {
  it("tells how much was stored, of whole blobs only", () =>
    withRoot(async (root) => {
      const sizes: number[] = [];
      const store = await LocalContentStore.open(root, { onStored: (size) => void sizes.push(size) });
      const bytes = async function* () {
        yield new TextEncoder().encode(text);
      };
      await store.write(bytes());
      await assert.rejects(store.write(bytes(), { size: 1 }), hasCode(Code.DataLoss));
      assert.deepEqual(sizes, [text.length]);
    }));

  it("drops half-written blobs of an earlier process", () =>
    withRoot(async (root) => {
      await LocalContentStore.open(root);
      writeFileSync(join(root, "ingest", "1-0"), "half");
      const store = await LocalContentStore.open(root);
      assert.deepEqual(readdirSync(join(root, "ingest")), []);
      assert.deepEqual(await allOf(store.list()), []);
    }));

  it("does not take a digest for a path", () =>
    withRoot(async (root) => {
      const store = await LocalContentStore.open(root);
      assert.throws(() => store.path("sha256:../../etc/passwd" as Digest), hasCode(Code.InvalidArgument));
    }));

  it("resumes a transfer that broke off, also after a restart", () =>
    withRoot(async (root) => {
      const offsets: number[] = [];
      const from = (offset: number, end: number, broken: boolean) => {
        offsets.push(offset);
        return (async function* () {
          yield Buffer.from(text.slice(offset, end));
          if (broken) throw new Error("connection reset");
        })();
      };
      const blob = { digest, size: text.length };
      const store = await LocalContentStore.open(root);
      await assert.rejects(
        store.resume(blob, (offset) => from(offset, 4, true)),
        /connection reset/,
      );
      const reopened = await LocalContentStore.open(root);
      await reopened.resume(blob, (offset) => from(offset, text.length, false));
      assert.deepEqual(offsets, [0, 4]);
      assert.ok(await reopened.verify(digest));
      assert.deepEqual(readdirSync(join(root, "ingest")), []);
    }));

  it("starts anew after a resumed transfer turned out wrong", () =>
    withRoot(async (root) => {
      const store = await LocalContentStore.open(root);
      const blob = { digest, size: text.length };
      const bytes = (value: string) =>
        (async function* () {
          yield Buffer.from(value);
        })();
      await assert.rejects(
        store.resume(blob, () => bytes("abcdefghij")),
        hasCode(Code.DataLoss),
      );
      await store.resume(blob, (offset) => bytes(text.slice(offset)));
      assert.ok(await store.verify(digest));
    }));

  it("moves a corrupt blob aside", () =>
    withRoot(async (root) => {
      const store = await LocalContentStore.open(root);
      writeFileSync(store.path(digest), "corrupted!");
      assert.equal(await store.verify(digest), false);
      assert.equal(await store.stat(digest), undefined);
      assert.ok(existsSync(join(root, "quarantine", digestHex(digest))));
      assert.equal(await store.verify(digest), false);
    }));
});
