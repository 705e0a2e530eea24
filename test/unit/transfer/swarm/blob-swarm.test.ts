import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { BuildError } from "../../../../src/core/errors/build-error.ts";
import { Code } from "../../../../src/core/errors/code.ts";
import { silentLogger } from "../../../../src/core/seams/logger.ts";
import { sha256 } from "../../../../src/core/values/digest.ts";
import { BlobSwarm } from "../../../../src/transfer/index.ts";
import { sleep } from "../../../../src/util/abort.ts";
import { collect } from "../../../helpers/collect.ts";
import { type FakePeer, FakePeers, never, unavailable } from "../../../helpers/swarm/fake-peers.ts";
import { incompressible } from "../../../helpers/swarm/incompressible.ts";

const chunks = 20;
/** The last chunk is a short one. */
const data = await collect(incompressible((chunks << 20) - 1000, 1));
const blob = { digest: sha256(data), size: data.length };
const forever = new AbortController().signal;
const everything = [...Array(chunks).keys()];

async function withSwarm(
  peers: Readonly<Record<string, FakePeer>>,
  use: (swarm: BlobSwarm, peers: FakePeers) => Promise<void>,
): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "buildfleet-swarm-"));
  try {
    const transport = new FakePeers(data, peers);
    await using swarm = await BlobSwarm.open({ directory, transport, url: () => "http://me", logger: silentLogger });
    await use(swarm, transport);
    await swarm[Symbol.asyncDispose]();
    assert.deepEqual(await readdir(directory), [], "files are left");
  } finally {
    await rm(directory, { recursive: true });
  }
}

const withCode = (code: number) => (error: unknown) => error instanceof BuildError && error.code === code;

describe("BlobSwarm", () => {
  it("takes large blobs only", () =>
    withSwarm({}, async (swarm) => {
      assert.equal(swarm.takes({ ...blob, size: 1 << 20 }), false);
      assert.equal(swarm.takes(blob), true);
    }));

  it("reads each chunk once, from any offset, from all holders", () =>
    withSwarm({ a: {}, b: {} }, async (swarm, peers) => {
      const offset = (5 << 20) + 17;
      assert.ok((await collect(swarm.read(blob, ["a", "b"], offset, forever))).equals(data.subarray(offset)));
      assert.deepEqual(
        peers.reads.map(({ chunk }) => chunk).sort((x, y) => x - y),
        everything,
      );
      assert.ok(peers.readsFrom("a").length > 0 && peers.readsFrom("b").length > 0);
    }));

  it("receives a blob once for all its readers, and gives it while it comes", () =>
    withSwarm({ a: {} }, async (swarm, peers) => {
      let seen = 0;
      const first = (async () => {
        for await (const _ of swarm.read(blob, ["a"], 0, forever)) {
          const partial = swarm.received(blob.digest);
          assert.ok(partial?.covers(0, 1 << 20));
          seen = Math.max(seen, partial?.have.size ?? 0);
        }
      })();
      const [, second] = await Promise.all([first, collect(swarm.read(blob, ["a"], 0, forever))]);
      assert.ok(second.equals(data));
      assert.equal(seen, chunks);
      assert.equal(peers.reads.length, chunks);
    }));

  it("takes from others what holders do not give, and tells who it is", () =>
    withSwarm(
      { holder: { tells: ["b", "http://me"] }, b: { whole: false, chunks: everything } },
      async (swarm, peers) => {
        assert.ok((await collect(swarm.read(blob, ["holder"], 0, forever))).equals(data));
        assert.ok(peers.readsFrom("b").length > 0);
        assert.ok(peers.asks.every(({ peer, ask }) => peer !== "http://me" && ask.from === "http://me"));
      },
    ));

  it("goes on where it stopped when it is read again", () =>
    withSwarm({ a: {} }, async (swarm, peers) => {
      const stop = new AbortController();
      await assert.rejects(async () => {
        for await (const _ of swarm.read(blob, ["a"], 0, stop.signal)) {
          if ((swarm.received(blob.digest)?.have.size ?? 0) >= 8) stop.abort(new Error("stopped"));
        }
      }, /stopped/);
      const before = swarm.received(blob.digest)?.have.size ?? 0;
      const begun = peers.reads.length;
      assert.ok((await collect(swarm.read(blob, ["a"], 0, forever))).equals(data));
      assert.ok(peers.reads.length - begun <= chunks - before, "chunks that were here are read again");
    }));

  const faults: Readonly<Record<string, FakePeer>> = {
    "does not answer": { asked: never },
    "answers and sends nothing": { reading: (_chunk, _half, signal) => never(signal) },
    "vanishes in the midst of a chunk": {
      reading: async (_chunk, half) => {
        if (half === 1) throw unavailable("socket hang up");
      },
    },
    "sends wrong bytes": { spoils: () => true },
    "lies about the size": { size: data.length + 1 },
    "does not have what it says": {
      reading: async () => {
        throw new BuildError(Code.NotFound, "not here", { infrastructure: true });
      },
    },
  };
  for (const [fault, peer] of Object.entries(faults)) {
    it(`does without a holder that ${fault}`, () =>
      withSwarm({ bad: peer, good: {} }, async (swarm, peers) => {
        assert.ok((await collect(swarm.read(blob, ["bad", "good"], 0, forever))).equals(data));
        assert.ok(new Set(peers.readsFrom("good")).size === chunks);
      }));
  }

  it("leaves a holder that falls silent within a second, with all that was asked of it", async () => {
    const order: string[] = [];
    let isFrozen = false;
    let asked = 0;
    const frozen: FakePeer = {
      asked: async (signal) => {
        if (asked++ < 2) return;
        if (!isFrozen) setTimeout(() => order.push("a second has passed"), 1000);
        isFrozen = true;
        await never(signal);
      },
      reading: async (chunk, half, signal) => {
        if (half === 0) return;
        await never(signal).finally(() => order.push("given up"));
        assert.fail(`chunk ${chunk} came`);
      },
    };
    const busy: FakePeer = {
      // What the frozen one was asked for remains to be done.
      reading: async (_chunk, _half, signal) => {
        while (!isFrozen) await sleep(5, signal);
      },
    };
    await withSwarm({ frozen, busy }, async (swarm, peers) => {
      assert.ok((await collect(swarm.read(blob, ["frozen", "busy"], 0, forever))).equals(data));
      const begun = peers.readsFrom("frozen");
      assert.ok(begun.length > 0);
      assert.deepEqual(order.slice(0, begun.length), Array(begun.length).fill("given up"));
      for (const chunk of begun) assert.ok(peers.readsFrom("busy").includes(chunk));
    });
  });

  it("reads no more than 16 chunks at a time, of however many blobs", async () => {
    let running = 0;
    let most = 0;
    const peer: FakePeer = {
      reading: async (_chunk, half) => {
        if (half === 1) {
          running--;
          return;
        }
        most = Math.max(most, ++running);
        await sleep(20);
      },
    };
    await withSwarm({ a: peer, b: peer, c: peer, d: peer }, async (swarm) => {
      const blobs = ["one", "two", "three", "four"].map((name) => ({ digest: sha256(name), size: data.length }));
      const all = blobs.map((one) => collect(swarm.read(one, ["a", "b", "c", "d"], 0, forever)));
      for (const read of await Promise.all(all)) assert.ok(read.equals(data));
    });
    assert.equal(most, 16);
  });

  it("asks a holder that sent wrong bytes to check its blob, and reads no more from it", () =>
    withSwarm({ bad: { spoils: () => true }, good: {} }, async (swarm, peers) => {
      await collect(swarm.read(blob, ["bad", "good"], 0, forever));
      assert.deepEqual([...new Set(peers.checked)], ["bad"]);
      assert.ok(peers.readsFrom("bad").length <= 4);
    }));

  it("takes a chunk that is slow to come from somebody else as well", () =>
    withSwarm(
      { slow: { reading: async (chunk, _half, signal) => (chunk === 0 ? never(signal) : undefined) }, good: {} },
      async (swarm, peers) => {
        // Whoever is asked first gives the first chunk; both orders must do.
        assert.ok((await collect(swarm.read(blob, ["slow", "good"], 0, forever))).equals(data));
        assert.ok(peers.readsFrom("good").includes(0));
      },
    ));

  it("fails with the fault of the last holder when none is left, at once when they refuse connections", () =>
    withSwarm({ bad: { spoils: () => true } }, async (swarm) => {
      await assert.rejects(collect(swarm.read(blob, ["gone"], 0, forever)), withCode(Code.Unavailable));
      await assert.rejects(collect(swarm.read(blob, ["bad"], 0, forever)), withCode(Code.DataLoss));
      await assert.rejects(collect(swarm.read(blob, ["bad", "gone"], 0, forever)), withCode(Code.DataLoss));
    }));

  it("stops reading when nobody wants the blob any more", () =>
    withSwarm(
      { a: { reading: (chunk, _half, signal) => (chunk > 2 ? never(signal) : Promise.resolve()) } },
      async (swarm, peers) => {
        const stop = new AbortController();
        const read = collect(swarm.read(blob, ["a"], 0, stop.signal));
        read.catch(() => {});
        while ((swarm.received(blob.digest)?.have.size ?? 0) < 3)
          await new Promise((resolve) => setTimeout(resolve, 5));
        stop.abort(new Error("not wanted"));
        await assert.rejects(read, /not wanted/);
        assert.ok(peers.readsFrom("a").length < chunks);
      },
    ));

  it("forgets what was found to be wrong", () =>
    withSwarm({ a: {} }, async (swarm, peers) => {
      await collect(swarm.read(blob, ["a"], 0, forever));
      await swarm.disown(blob.digest, ["a"], forever);
      assert.equal(swarm.received(blob.digest), undefined);
      assert.deepEqual(peers.checked, ["a"]);
      assert.ok((await collect(swarm.read(blob, ["a"], 0, forever))).equals(data));
      assert.equal(peers.reads.length, 2 * chunks);
    }));
});
