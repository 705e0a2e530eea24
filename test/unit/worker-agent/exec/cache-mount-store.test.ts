import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { Code } from "../../../../src/core/errors/code.ts";
import type { CacheMountHolder, CacheMountSized, CacheSharing } from "../../../../src/core/values/cache-mount.ts";
import { systemClock } from "../../../../src/util/system-clock.ts";
import type { CacheMountRequest } from "../../../../src/worker-agent/ops/exec/cache-mount-lease.ts";
import { CacheMountStore } from "../../../../src/worker-agent/ops/exec/cache-mount-store.ts";

describe("CacheMountStore", () => {
  let directory: string;
  let store: CacheMountStore;
  const signal = new AbortController().signal;
  const request = (key: string, sharing: CacheSharing, session = "s"): CacheMountRequest => ({
    key,
    sharing,
    description: `mount ${key}`,
    sessionIds: [session],
    epoch: "",
    holders: [],
    copy: async () => assert.fail("nothing to copy"),
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
  // The store may still be removing what was pruned.
  afterEach(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }));

  test("half-made mounts and half-written files of a killed process go", async () => {
    const path = await use("k", "shared", () => {});
    writeFileSync(join(path, "../meta.json.0d3a"), '{"key":');
    mkdirSync(join(directory, "half/data"), { recursive: true });
    await CacheMountStore.open({ directory, clock: systemClock });
    assert.deepEqual(readdirSync(directory), [basename(dirname(path))]);
    assert.deepEqual(readdirSync(dirname(path)).sort(), ["data", "dirty", "meta.json"]);
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
    store.prune({ id: "k", nested: false, sessionIds: ["build1"] });
    assert.equal(await use("k", "shared", () => {}, "build1"), path);
    store.prune({ id: "k", nested: true, sessionIds: ["build2"] });
    assert.equal(await use("k", "shared", () => {}, "build1"), path);
    store.prune({ id: "k", nested: false, sessionIds: ["build2"] });
    assert.notEqual(await use("k", "shared", () => {}, "build2"), path);
  });

  test("a pruned mount in use stays until it is released", async () => {
    const lease = await store.acquire(request("k", "shared", "old"), signal);
    store.prune({ id: "k", nested: false, sessionIds: ["new"] });
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

  describe("in a fleet", () => {
    const holder = (entryId: string, version: string): CacheMountHolder => ({
      agentId: "other",
      entryId,
      version,
      sizeBytes: 1,
    });
    /** A step that succeeds. */
    const leave = async (what: CacheMountRequest, text?: string) => {
      await using lease = await store.acquire(what, signal);
      if (text !== undefined) writeFileSync(join(lease.path, "f"), text);
      return (await lease.publish()) ?? assert.fail("nothing was published");
    };
    /** Has what the other agent has; counts how often it is asked. */
    const copying = (what: CacheMountRequest, holders: readonly CacheMountHolder[], text: string | undefined) => {
      const asked: (readonly CacheMountHolder[])[] = [];
      const copy: CacheMountRequest["copy"] = async (newer, directory) => {
        asked.push(newer);
        if (text === undefined) return undefined;
        mkdirSync(join(directory, "data"));
        writeFileSync(join(directory, "data/f"), text);
        return { version: newer[0]?.version ?? "", sizeBytes: text.length };
      };
      return { asked, request: { ...what, holders, copy } };
    };

    test("a version is made by a step that succeeds and that nobody disturbs", async () => {
      const first = await store.acquire(request("k", "shared"), signal);
      const second = await store.acquire(request("k", "shared"), signal);
      assert.equal(await first.publish(), undefined);
      const published = (await second.publish()) ?? assert.fail();
      using reading = await store.read(published.entryId, signal);
      assert.equal(reading.version, published.version);
      assert.notEqual((await leave(request("other", "shared"))).version, published.version);
    });

    test("what a step left that failed, or that runs, or was killed, is given to nobody", async () => {
      const { entryId } = await leave(request("k", "shared"), "good");
      const lease = await store.acquire(request("k", "shared"), signal);
      const impatient = AbortSignal.timeout(10);
      await assert.rejects(store.read(entryId, impatient), { name: "TimeoutError" });
      const restarted = await CacheMountStore.open({ directory, clock: systemClock });
      await assert.rejects(restarted.read(entryId, signal), /left by a step that failed/);
      const refused = assert.rejects(store.read(entryId, signal), /left by a step that failed/);
      await lease[Symbol.asyncDispose]();
      await refused;
      await assert.rejects(store.read("gone", signal), { code: Code.NotFound });
      // The next step here finds it all the same.
      assert.equal((await leave(request("k", "shared"))).entryId, entryId);
      (await store.read(entryId, signal))[Symbol.dispose]();
    });

    test("what is newer elsewhere takes the place of the own", async () => {
      const gone: string[] = [];
      store = await CacheMountStore.open({ directory, clock: systemClock, onGone: (id) => void gone.push(id) });
      const own = await leave(request("k", "shared"), "old");
      const holders = [holder("e2", "v2"), { ...holder(own.entryId, own.version), agentId: "me" }, holder("e0", "v0")];
      const { asked, request: wanting } = copying(request("k", "shared"), holders, "new");
      await using lease = await store.acquire(wanting, signal);
      assert.equal(readFileSync(join(lease.path, "f"), "utf8"), "new");
      assert.deepEqual(asked, [[holders[0]]]);
      assert.deepEqual(gone, [own.entryId]);
      assert.equal((await store.list()).length, 1);
    });

    test("without anything newer nobody is asked, also not when a step has failed since", async () => {
      const own = await leave(request("k", "shared"), "own");
      const holders = [{ ...holder(own.entryId, own.version), agentId: "me" }, holder("e0", "v0")];
      for (let i = 0; i < 2; i++) {
        const { asked, request: wanting } = copying(request("k", "shared"), holders, "new");
        await using lease = await store.acquire(wanting, signal);
        assert.equal(readFileSync(join(lease.path, "f"), "utf8"), "own");
        assert.deepEqual(asked, []);
      }
    });

    test("a copy that cannot be had leaves the own, or a new one, and nothing half-made", async () => {
      const { request: first } = copying(request("k", "shared"), [holder("e", "v")], undefined);
      const own = await leave(first, "own");
      assert.equal(own.cold, true);
      assert.equal((await leave(request("elsewhere", "shared"))).cold, false);
      await store.remove((await leave(request("elsewhere", "shared"))).entryId);
      const { asked, request: second } = copying(request("k", "shared"), [holder("e", "v")], undefined);
      assert.equal((await leave(second)).entryId, own.entryId);
      assert.equal(asked.length, 1);
      const broken = { ...second, copy: () => Promise.reject(new Error("aborted")) };
      await assert.rejects(store.acquire(broken, signal), { message: "aborted" });
      assert.deepEqual(readdirSync(directory), [own.entryId]);
      assert.equal((await leave(request("k", "shared"))).entryId, own.entryId);
    });

    test("a copy that takes too long for a waiting step is ended", async (t) => {
      const { entryId } = await leave(request("k", "shared"), "lent");
      t.mock.timers.enable({ apis: ["setTimeout"] });
      const reading = await store.read(entryId, signal);
      const waiting = store.acquire(request("k", "shared"), signal);
      for (let i = 0; i < 10; i++) await new Promise(setImmediate);
      t.mock.timers.tick(9999);
      assert.equal(reading.signal.aborted, false);
      t.mock.timers.tick(1);
      assert.match(String(reading.signal.reason), /a step needs the cache mount/);
      reading[Symbol.dispose]();
      await (await waiting)[Symbol.asyncDispose]();
    });

    test("a version's size is told once it was measured", async () => {
      const sized: Omit<CacheMountSized, "agentId">[] = [];
      store = await CacheMountStore.open({ directory, clock: systemClock, onSized: (found) => void sized.push(found) });
      await use("unpublished", "shared", () => {});
      const { entryId } = await leave(request("k", "shared"), "x".repeat(100_000));
      for (let i = 0; i < 2; i++) await store.list();
      assert.equal(sized.length, 1);
      assert.deepEqual([sized[0]?.key, sized[0]?.entryId], ["k", entryId]);
      assert.ok((sized[0]?.sizeBytes ?? 0) >= 100_000);
      assert.equal((await leave(request("k", "shared"))).sizeBytes, sized[0]?.sizeBytes);
    });

    test("another epoch starts anew", async () => {
      const old = await leave(request("k", "shared"), "old");
      const anew = await leave({ ...request("k", "shared"), epoch: "e1" });
      assert.notEqual(anew.entryId, old.entryId);
      assert.equal(anew.epoch, "e1");
      await assert.rejects(store.read(old.entryId, signal), { code: Code.NotFound });
    });

    test("a step waits while its directory is lent, which cannot be removed then", async () => {
      const { entryId } = await leave(request("k", "shared"), "lent");
      const reading = await store.read(entryId, signal);
      assert.equal(await store.remove(entryId), false);
      let taken = false;
      const waiting = store.acquire(request("k", "shared"), signal).then((lease) => {
        taken = true;
        return lease;
      });
      await use("elsewhere", "shared", () => {});
      assert.equal(taken, false);
      // Who comes now waits for the step.
      const late = store.read(entryId, AbortSignal.timeout(10));
      await assert.rejects(late, { name: "TimeoutError" });
      reading[Symbol.dispose]();
      await (await waiting)[Symbol.asyncDispose]();
      assert.equal(taken, true);
    });
  });
});
