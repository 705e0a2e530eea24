import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it, mock } from "node:test";
import { BuildError } from "../../../../src/core/errors/build-error.ts";
import { Code } from "../../../../src/core/errors/code.ts";
import type { BlobTransport } from "../../../../src/core/seams/blob-transport.ts";
import { sha256 } from "../../../../src/core/values/digest.ts";
import type { LayerId } from "../../../../src/core/values/layer.ts";
import { PeerReader } from "../../../../src/worker-agent/layers/peer-reader.ts";
import { never } from "../../../helpers/swarm/fake-peers.ts";

const blob = { digest: sha256("0123456789"), size: 10 };
const layer = "l" as LayerId;
const forever = new AbortController().signal;
const isGone = (error: unknown) =>
  error instanceof BuildError && error.code === Code.Unavailable && error.infrastructure;

const stepMs = 50;

/** Time goes in steps, between which everything happens that can. */
async function pass(ms: number): Promise<void> {
  for (let at = 0; at < ms; at += stepMs) {
    mock.timers.tick(stepMs);
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  }
}

/** A peer that begins to answer, sends nothing more, and may still be there. */
function silentPeer(answersPings: () => boolean) {
  const transport = {
    layerBlob: (_url: string, _id: LayerId, signal: AbortSignal) => never(signal),
    async *readBlob(_url: string, _digest: string, offset: number, signal: AbortSignal) {
      yield Buffer.from("0123456789").subarray(offset, offset + 3);
      await never(signal);
    },
    ping: async (_url: string, signal: AbortSignal) => (answersPings() ? undefined : never(signal)),
  };
  return new PeerReader({ transport: transport as unknown as BlobTransport, now: () => Date.now() });
}

describe("PeerReader", () => {
  beforeEach(() => mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] }));
  afterEach(() => mock.timers.reset());

  /** @returns when it failed, in milliseconds from now */
  async function failsAfter(work: Promise<unknown>): Promise<number> {
    const start = Date.now();
    let failedAt: number | undefined;
    const failure = assert.rejects(work, isGone).then(() => {
      failedAt = Date.now();
    });
    while (failedAt === undefined && Date.now() < start + 60_000) await pass(stepMs);
    await failure;
    return (failedAt ?? 0) - start;
  }

  it("leaves a peer that is gone after a second, when it is asked again after ten", async () => {
    const peers = silentPeer(() => false);
    assert.equal(await failsAfter(peers.layerBlob("http://a", layer, false, forever)), 1000);
    assert.equal(await failsAfter(peers.layerBlob("http://a", layer, true, forever)), 10_000);
    const [source] = peers.sources([{ name: "a", url: "http://a" }], blob);
    const read = async () => {
      for await (const _ of source?.open(0, forever) ?? []);
    };
    // Its bytes come within the first step.
    assert.equal(await failsAfter(read()), 1000 + stepMs);
    assert.equal(await failsAfter(read()), 10_000 + stepMs);
  });

  it("waits for one that is there, and leaves it a second after it was heard last", async () => {
    let goesAt = Number.POSITIVE_INFINITY;
    const peers = silentPeer(() => Date.now() < goesAt);
    let isPending = true;
    const waiting = peers.layerBlob("http://a", layer, false, forever);
    waiting.catch(() => {
      isPending = false;
    });
    await pass(30_000);
    assert.equal(isPending, true);
    goesAt = Date.now();
    assert.ok((await failsAfter(waiting)) <= 1000);
  });

  it("stops looking when it is aborted", async () => {
    let pings = 0;
    const peers = silentPeer(() => {
      pings++;
      return true;
    });
    const stop = new AbortController();
    const waiting = assert.rejects(peers.layerBlob("http://a", layer, false, stop.signal), /stopped/);
    await pass(1000);
    stop.abort(new Error("stopped"));
    await waiting;
    const before = pings;
    await pass(5000);
    assert.ok(before > 0);
    assert.equal(pings, before);
  });
});
