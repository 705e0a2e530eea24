import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { LayerWorkers } from "../../../src/snapshot/index.ts";

describe("LayerWorkers", () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "workers-"));
    mkdirSync(join(root, "layer"));
    writeFileSync(join(root, "layer/big"), Buffer.alloc(20_000_000));
  });
  afterEach(() => rmSync(root, { recursive: true }));

  const pack = () => ({ layer: join(root, "layer"), tar: {}, format: { type: "uncompressed" as const } });
  const seal = () => ({ layer: join(root, "layer"), skeleton: join(root, "skel") });

  it("does not let slow readers hold up other kinds of work", async () => {
    await using workers = new LayerWorkers({ maxThreadsPerLane: 1 });
    const stopped = Promise.withResolvers<void>();
    const slow = workers.run("pack", pack(), { output: () => stopped.promise });
    assert.equal((await workers.run("seal", seal())).entries, 1);
    stopped.resolve();
    assert.ok((await slow).uncompressedBytes > 20_000_000);
  });

  it("ends a job when its last chunk has been taken, not when it has been made", async () => {
    await using workers = new LayerWorkers({ maxThreadsPerLane: 1 });
    mkdirSync(join(root, "small"));
    const made = Promise.withResolvers<void>();
    const taken = Promise.withResolvers<void>();
    let ended = false;
    const output = () => {
      made.resolve();
      return taken.promise;
    };
    const job = workers.run("pack", { ...pack(), layer: join(root, "small") }, { output }).then(() => {
      ended = true;
    });
    await made.promise;
    // A round trip to another thread gives the first one time to say that it is done.
    for (let round = 0; round < 3; round++) await workers.run("seal", seal());
    assert.equal(ended, false);
    taken.resolve();
    await job;
  });

  it("takes a waiting job out of the queue when it is aborted", async () => {
    await using workers = new LayerWorkers({ maxThreadsPerLane: 1 });
    const stopped = Promise.withResolvers<void>();
    const slow = workers.run("pack", pack(), { output: () => stopped.promise });
    const abort = new AbortController();
    const reason = new Error("no longer wanted");
    const waiting = workers.run("pack", pack(), { signal: abort.signal });
    abort.abort(reason);
    await assert.rejects(waiting, reason);
    stopped.resolve();
    await slow;
    await workers.run("pack", pack());
  });

  it("goes on after a job was killed or failed", async () => {
    await using workers = new LayerWorkers({ maxThreadsPerLane: 1 });
    const abort = new AbortController();
    const reason = new Error("stop");
    await assert.rejects(
      workers.run("pack", pack(), { output: () => abort.abort(reason), signal: abort.signal }),
      reason,
    );
    await assert.rejects(workers.run("seal", { ...seal(), layer: join(root, "none") }), { code: "ENOENT" });
    assert.equal((await workers.run("seal", seal())).entries, 1);
  });

  it("fails a job whose consumer fails", async () => {
    await using workers = new LayerWorkers({ maxThreadsPerLane: 1 });
    const broken = async () => {
      throw new Error("disk full");
    };
    await assert.rejects(workers.run("pack", pack(), { output: broken }), /disk full/);
  });

  it("fails a job whose input fails", async () => {
    await using workers = new LayerWorkers({ maxThreadsPerLane: 1 });
    const input = (async function* () {
      yield new Uint8Array(100);
      throw new Error("connection reset");
    })();
    mkdirSync(join(root, "out"));
    await assert.rejects(workers.run("unpack", { target: join(root, "out") }, { input }), /connection reset/);
  });

  it("refuses work once closed", async () => {
    const workers = new LayerWorkers();
    await workers[Symbol.asyncDispose]();
    await assert.rejects(workers.run("seal", seal()), /closed/);
  });
});
