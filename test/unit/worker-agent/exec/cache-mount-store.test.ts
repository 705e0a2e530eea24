import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { systemClock } from "../../../../src/util/system-clock.ts";
import {
  type CacheMountRequest,
  CacheMountStore,
  type CacheSharing,
} from "../../../../src/worker-agent/ops/exec/cache-mount-store.ts";

describe("CacheMountStore", () => {
  let directory: string;
  let store: CacheMountStore;
  const signal = new AbortController().signal;
  const request = (key: string, sharing: CacheSharing, session = "s"): CacheMountRequest => ({
    key,
    sharing,
    description: `mount ${key}`,
    sessionIds: [session],
  });
  const use = async (key: string, sharing: CacheSharing, work: (path: string) => void, session = "s") => {
    await using lease = await store.acquire(request(key, sharing, session), signal);
    work(lease.path);
    return lease.path;
  };

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "cache-mounts-"));
    store = await CacheMountStore.open({ directory, clock: systemClock });
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  test("half-made mounts and half-written files of a killed process go", async () => {
    const path = await use("k", "shared", () => {});
    writeFileSync(join(path, "../meta.json.0d3a"), '{"key":');
    mkdirSync(join(directory, "half/data"), { recursive: true });
    await CacheMountStore.open({ directory, clock: systemClock });
    assert.deepEqual(readdirSync(directory), [basename(dirname(path))]);
    assert.deepEqual(readdirSync(dirname(path)).sort(), ["data", "meta.json"]);
  });

  test("what one step leaves, the next finds, also after a restart", async () => {
    const path = await use("k", "shared", (path) => writeFileSync(join(path, "f"), "x"));
    assert.equal(await use("k", "private", (path) => assert.deepEqual(readdirSync(path), ["f"])), path);
    store = await CacheMountStore.open({ directory, clock: systemClock });
    assert.equal(await use("k", "locked", () => {}), path);
    assert.notEqual(await use("other", "locked", () => {}), path);
  });

  test("shared users share, also when they come at the same time", async () => {
    const leases = await Promise.all([1, 2, 3].map(() => store.acquire(request("k", "shared"), signal)));
    assert.equal(new Set(leases.map((lease) => lease.path)).size, 1);
    for (const lease of leases) await lease[Symbol.asyncDispose]();
  });

  test("private users get one each, and free ones again", async () => {
    const first = await store.acquire(request("k", "private"), signal);
    const second = await store.acquire(request("k", "private"), signal);
    assert.notEqual(first.path, second.path);
    await first[Symbol.asyncDispose]();
    const third = await store.acquire(request("k", "private"), signal);
    assert.equal(third.path, first.path);
    await second[Symbol.asyncDispose]();
    await third[Symbol.asyncDispose]();
  });

  test("locked users take turns", async () => {
    const first = await store.acquire(request("k", "locked"), signal);
    const order: string[] = [];
    const second = store.acquire(request("k", "locked"), signal).then((lease) => {
      order.push("second");
      return lease;
    });
    await use("elsewhere", "locked", () => {});
    order.push("released");
    await first[Symbol.asyncDispose]();
    const lease = await second;
    assert.deepEqual(order, ["released", "second"]);
    assert.equal(lease.path, first.path);
    await lease[Symbol.asyncDispose]();
  });

  test("a waiting locked user can be aborted", async () => {
    await using _held = await store.acquire(request("k", "locked"), signal);
    const abort = new AbortController();
    const waiting = store.acquire(request("k", "locked"), abort.signal);
    abort.abort(new Error("enough"));
    await assert.rejects(waiting, { message: "enough" });
  });

  test("a new mount is filled by its seed, once; a failed seed leaves nothing", async () => {
    let seeded = 0;
    const withSeed = {
      ...request("k:ref", "shared"),
      seed: async (path: string) => {
        seeded++;
        mkdirSync(path);
        writeFileSync(join(path, "seed"), "s");
      },
    };
    for (let i = 0; i < 2; i++) {
      await using lease = await store.acquire(withSeed, signal);
      assert.deepEqual(readdirSync(lease.path), ["seed"]);
    }
    assert.equal(seeded, 1);
    const failing = { ...request("bad", "shared"), seed: () => Promise.reject(new Error("no space")) };
    await assert.rejects(store.acquire(failing, signal), { message: "no space" });
    assert.equal(readdirSync(directory).length, 1);
  });

  test("prune() forgets a key, but not what the same build has used", async () => {
    const path = await use("k", "shared", () => {}, "build1");
    store.prune("k", { nested: false, sessionIds: ["build1"] });
    assert.equal(await use("k", "shared", () => {}, "build1"), path);
    store.prune("k", { nested: true, sessionIds: ["build2"] });
    assert.equal(await use("k", "shared", () => {}, "build1"), path);
    store.prune("k", { nested: false, sessionIds: ["build2"] });
    assert.notEqual(await use("k", "shared", () => {}, "build2"), path);
  });

  test("a pruned mount in use stays until it is released", async () => {
    const lease = await store.acquire(request("k", "shared", "old"), signal);
    store.prune("k", { nested: false, sessionIds: ["new"] });
    assert.ok(existsSync(lease.path));
    assert.notEqual(await use("k", "shared", () => {}, "new"), lease.path);
    await lease[Symbol.asyncDispose]();
    assert.equal((await store.list()).length, 1);
  });

  test("list() tells sizes and uses, remove() spares what is in use", async () => {
    const lease = await store.acquire(request("k", "shared"), signal);
    writeFileSync(join(lease.path, "f"), Buffer.alloc(100_000, "x"));
    const [record] = await store.list();
    assert.ok(record !== undefined && record.sizeBytes >= 100_000);
    assert.equal(record.inUse, true);
    assert.equal(record.usageCount, 1);
    assert.equal(record.description, "mount k");
    assert.equal(await store.remove(record.id), false);
    await lease[Symbol.asyncDispose]();
    assert.equal(await store.remove(record.id), true);
    assert.deepEqual(await store.list(), []);
    assert.deepEqual(readdirSync(directory), []);
  });
});
