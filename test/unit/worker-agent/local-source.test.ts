import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { ContentHasher } from "../../../src/contenthash/index.ts";
import { silentLogger } from "../../../src/core/seams/logger.ts";
import type { LayerId, Ref } from "../../../src/core/values/layer.ts";
import { FileSender } from "../../../src/filesync/index.ts";
import { walkTree } from "../../../src/filesystem/index.ts";
import { ChecksumRunner } from "../../../src/worker-agent/ops/checksum-op.ts";
import { LocalSourceFetcher } from "../../../src/worker-agent/ops/local-source.ts";
import { FakeSession, FakeSessionGroup } from "../../helpers/fake-session.ts";
import { fileSyncMethod, serveFileSync } from "../../helpers/file-sync-client.ts";
import { ingestStore } from "../../helpers/ingest-store.ts";
import { materialize } from "../../helpers/materialize.ts";
import { PlainLayers } from "../../helpers/plain-layers.ts";
import { runContext, taskOf } from "../../helpers/task.ts";

describe("LocalSourceFetcher", () => {
  let client = "";
  let state = "";
  let layers: PlainLayers;
  let sender: FileSender;
  let hasher: ContentHasher;
  let fetcher: LocalSourceFetcher;
  before(() => {
    sender = new FileSender({ threads: 1 });
  });
  after(() => sender[Symbol.asyncDispose]());
  beforeEach(async () => {
    client = mkdtempSync(join(tmpdir(), "client-"));
    state = mkdtempSync(join(tmpdir(), "state-"));
    layers = await PlainLayers.create();
    hasher = new ContentHasher({ snapshotter: ingestStore(layers.root), threads: 1 });
    fetcher = newFetcher();
    materialize(
      [
        { path: "src/a.ts", type: "file", content: "a", uid: 1000, gid: 1000 },
        { path: "src/b.ts", type: "file", content: "b" },
        { path: "README", type: "file", content: "read me" },
        { path: "ln", type: "symlink", link: "src" },
      ],
      client,
    );
  });
  afterEach(async () => {
    await fetcher[Symbol.asyncDispose]();
    await hasher[Symbol.asyncDispose]();
    await layers[Symbol.asyncDispose]();
    for (const path of [client, state]) rmSync(path, { recursive: true, force: true });
  });

  const newFetcher = () =>
    new LocalSourceFetcher({
      snapshotter: ingestStore(layers.root),
      stateDir: state,
      logger: silentLogger,
      hasher,
      threads: 1,
    });
  const session = (id: string, sharedKey = "") =>
    new FakeSession(
      id,
      { [fileSyncMethod]: serveFileSync(sender, { context: client, "x-context": client }) },
      sharedKey,
    );
  const contextOf = (...sessions: FakeSession[]) => runContext(layers, { sessions: new FakeSessionGroup(...sessions) });
  const fetch = async (attrs: Record<string, string> = {}, context = contextOf(session("s1"))) => {
    const result = await fetcher.fetch({ identifier: "local://context", attrs }, undefined, context);
    return { ref: result.outputs[0] as Ref, info: result.layers[0], lines: context.lines };
  };
  const names = (ref: Ref) => {
    const found: string[] = [];
    walkTree(layers.path(ref), {}, ({ path }) => {
      found.push(path);
      return undefined;
    });
    return found;
  };

  it("brings a directory into a layer", async () => {
    const { ref, info, lines } = await fetch();
    assert.deepEqual(names(ref), ["README", "ln", "src", "src/a.ts", "src/b.ts"]);
    assert.equal(readFileSync(join(layers.path(ref), "src/a.ts"), "utf8"), "a");
    assert.deepEqual([info?.recordType, info?.description], ["source.local", "local source for context"]);
    const last = lines.at(-1);
    assert.equal(last?.id, "transferring context:");
    assert.ok((last?.current ?? 0) > 0 && last?.completedAt !== undefined);
  });

  it("filters as asked", async () => {
    const filtered = await fetch({
      "local.includepattern": '["src","README"]',
      "local.excludepatterns": '["**/b.*"]',
    });
    assert.deepEqual(names(filtered.ref), ["README", "src", "src/a.ts"]);
    const followed = await fetch({ "local.followpaths": '["ln/a.ts"]', "local.sharedkeyhint": "other" });
    assert.deepEqual(names(followed.ref), ["ln", "src", "src/a.ts"]);
  });

  it("answers with the earlier layer when nothing changed, also after a restart", async () => {
    const first = await fetch();
    await fetcher[Symbol.asyncDispose]();
    fetcher = newFetcher();
    const second = await fetch();
    assert.deepEqual(second.ref, first.ref);
    assert.equal(second.info?.recordType, "source.local");
  });

  it("deletes what a killed process was writing", async () => {
    const first = await fetch();
    const directory = join(state, "local-sources");
    const kept = readdirSync(directory);
    for (const name of ["0.a.tree", "0.b.tmp", "0.a.tree.17.tmp"]) writeFileSync(join(directory, name), "half");
    await fetcher[Symbol.asyncDispose]();
    fetcher = newFetcher();
    assert.deepEqual((await fetch()).ref, first.ref);
    assert.deepEqual(readdirSync(directory), kept);
  });

  it("forgets transfers whose layer is gone, and no others", async () => {
    const gone = await fetch();
    const kept = await fetch({ "local.sharedkeyhint": "other" });
    const files = () => readdirSync(join(state, "local-sources"));
    assert.equal(files().length, 4);
    rmSync(layers.path(gone.ref), { recursive: true });
    await fetcher.forgetGone();
    assert.equal(files().length, 2);
    assert.deepEqual((await fetch({ "local.sharedkeyhint": "other" })).ref, kept.ref);
    assert.notDeepEqual((await fetch()).ref, gone.ref);
  });

  it("sends only what changed", async () => {
    const first = await fetch();
    writeFileSync(join(client, "README"), "new text");
    rmSync(join(client, "src/b.ts"));
    const second = await fetch();
    assert.notDeepEqual(second.ref, first.ref);
    assert.deepEqual(names(second.ref), ["README", "ln", "src", "src/a.ts"]);
    assert.equal(readFileSync(join(layers.path(second.ref), "README"), "utf8"), "new text");
    assert.equal(readFileSync(join(layers.path(first.ref), "README"), "utf8"), "read me");
    const third = await fetch();
    assert.deepEqual(third.ref, second.ref);
  });

  it("starts anew when the earlier layer is gone", async () => {
    const first = await fetch();
    rmSync(layers.path(first.ref), { recursive: true });
    const second = await fetch();
    assert.notDeepEqual(second.ref, first.ref);
    assert.deepEqual(names(second.ref).length, 5);
  });

  it("keeps transfers of different clients and names apart", async () => {
    const first = await fetch({}, contextOf(session("s1", "one")));
    const second = await fetch({}, contextOf(session("s2", "two")));
    const again = await fetch({}, contextOf(session("s3", "one")));
    assert.notDeepEqual(second.ref, first.ref);
    assert.deepEqual(again.ref, first.ref);
  });

  it("hashes what it received as if it were read from disk", async () => {
    const { ref } = await fetch();
    const selector = { wildcard: false, followLinks: false, includePatterns: [], excludePatterns: [] };
    await using fresh = new ContentHasher({ snapshotter: ingestStore(layers.root), threads: 1 });
    for (const path of ["/src", "/README", "/ln"]) {
      const selectors = [{ ...selector, path }];
      assert.equal(await hasher.checksum(ref, selectors), await fresh.checksum(ref, selectors), path);
    }
    // Content that is no longer on disk proves that the transfer's digest is used.
    writeFileSync(join(layers.path(ref), "README"), "tampered");
    const selectors = [{ ...selector, path: "/README" }];
    await using later = new ContentHasher({ snapshotter: ingestStore(layers.root), threads: 1 });
    assert.notEqual(await hasher.checksum(ref, selectors), await later.checksum(ref, selectors));
  });

  it("takes the session that is named, else any", async () => {
    const { ref } = await fetch({ "local.session": "s2" }, contextOf(new FakeSession("s1", {}), session("s2")));
    assert.equal(names(ref).length, 5);
    const renamed = await fetch({ "local.session": "x:s1" });
    assert.equal(names(renamed.ref).length, 5);
    await assert.rejects(fetch({}, contextOf(new FakeSession("s1", {}))), { message: "no local sources enabled" });
    await assert.rejects(fetch({}, contextOf()), { message: "no active sessions" });
  });

  it("reports what the client refuses as grpc-go does", async () => {
    await assert.rejects(
      fetcher.fetch({ identifier: "local://other", attrs: {} }, undefined, contextOf(session("s1"))),
      {
        code: 5,
        message: 'rpc error: code = NotFound desc = rpc error: code = NotFound desc = no access allowed to dir "other"',
      },
    );
    assert.deepEqual(
      readdirSync(layers.root).filter((name) => name.startsWith("ingest-")),
      [],
    );
    await assert.rejects(
      fetch({ "local.metadatatransfer": "maybe" }),
      /invalid value for local.metadatatransfer "maybe"/,
    );
  });

  it("gives keys that hold for one session", async () => {
    const resolve = (id: string, attrs = {}) =>
      fetcher.resolve({ identifier: "local://context", attrs }, contextOf(session(id)));
    assert.match((await resolve("s1")).cacheKey, /^session:context:sha256:/);
    assert.notEqual((await resolve("s1")).cacheKey, (await resolve("s2")).cacheKey);
    assert.equal(
      (await resolve("s1", { "local.unique": "1" })).cacheKey,
      (await resolve("s1", { "local.unique": "2" })).cacheKey,
    );
  });

  it("is hashed by ChecksumRunner without a root header", async () => {
    const { ref, info } = await fetch();
    const runner = new ChecksumRunner({ hasher, listings: { keep: () => {} }, agentId: "agent" });
    const selectors = [{ path: "/", wildcard: false, followLinks: false, includePatterns: [], excludePatterns: [] }];
    const task = { ...taskOf("checksum", { ref, selectors }), layers: info === undefined ? [] : [info] };
    const { digest } = await runner.run(task, runContext(layers));
    assert.equal(digest, await hasher.checksum(ref, selectors, { transferred: true }));
    await assert.rejects(
      runner.run(
        taskOf("checksum", { ref, selectors: [{ ...selectors[0], path: "/nope" } as (typeof selectors)[0]] }),
        runContext(layers),
      ),
      { message: `failed to calculate checksum of ref agent::${ref.layers[0] as LayerId}: "/nope": not found` },
    );
  });

  it("trusts size, time and mode", async () => {
    const first = await fetch();
    const time = new Date(1_700_000_000_000);
    writeFileSync(join(client, "README"), "mad eer");
    utimesSync(join(client, "README"), time, time);
    assert.deepEqual((await fetch()).ref, first.ref);
    const taken = await fetch({ "local.differ": "none" });
    assert.notDeepEqual(taken.ref, first.ref);
    assert.deepEqual((await fetch({ "local.differ": "none" })).ref, taken.ref);
  });
});
