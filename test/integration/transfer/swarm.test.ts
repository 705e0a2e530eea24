import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { WantedBlob } from "../../../src/transfer/index.ts";
import { SandboxNetwork } from "../../helpers/sandbox/network.ts";
import { SwarmPeer } from "../../helpers/swarm/swarm-peer.ts";

const receivers = 4;
const megabitsPerSecond = 150;

describe("a blob that many agents fetch at once, over links of one speed", () => {
  let network: SandboxNetwork;
  const owned = new AsyncDisposableStack();
  let first: SwarmPeer;
  let others: SwarmPeer[];
  let seed = 0;

  const start = async (): Promise<SwarmPeer> => {
    const host = await network.addHost();
    await host.limitRate(megabitsPerSecond);
    return owned.use(await SwarmPeer.start(host));
  };

  before(async () => {
    network = owned.use(await SandboxNetwork.create());
    first = await start();
    others = [];
    while (others.length < receivers) others.push(await start());
  });
  after(() => owned.disposeAsync());

  /** @returns how often the blob has left the holder while `work` ran */
  async function copiesSent(holder: SwarmPeer, work: (blob: WantedBlob) => Promise<void>): Promise<number> {
    const blob = await holder.make(40e6, ++seed);
    const before = await holder.host.sentBytes();
    await work(blob);
    return ((await holder.host.sentBytes()) - before) / blob.size;
  }

  it("leaves its first holder about once", async () => {
    const copies = await copiesSent(first, async (blob) => {
      await Promise.all(others.map((peer) => peer.fetch(blob, [first.url])));
    });
    assert.ok(copies >= 1 && copies <= 1.2, `it left ${copies} times`);
  });

  it("is taken from those who have it by who comes later", async () => {
    const [early, ...late] = others as [SwarmPeer, ...SwarmPeer[]];
    const copies = await copiesSent(first, async (blob) => {
      await early.fetch(blob, [first.url]);
      await Promise.all(late.map((peer) => peer.fetch(blob, [first.url])));
    });
    assert.ok(copies <= 1.4, `it left ${copies} times`);
  });

  it("reaches the others when one of them ends in the midst of it", async () => {
    const doomed = await start();
    await copiesSent(first, async (blob) => {
      const lost = doomed.fetch(blob, [first.url]).catch((error: unknown) => String(error));
      const rest = others.map((peer) => peer.fetch(blob, [first.url]));
      const before = await doomed.host.sentBytes();
      // It has passed on some of what only it was given.
      while ((await doomed.host.sentBytes()) - before < 2e6) await new Promise((resolve) => setTimeout(resolve, 10));
      doomed.kill();
      await Promise.all(rest);
      assert.match(String(await lost), /has ended/);
    });
  });

  it("goes on from another holder when the first ends", async () => {
    const second = await start();
    const mortal = await start();
    const blob = await mortal.make(40e6, ++seed);
    await second.make(40e6, seed);
    const all = others.map((peer) => peer.fetch(blob, [mortal.url, second.url]));
    const before = await mortal.host.sentBytes();
    while ((await mortal.host.sentBytes()) - before < 5e6) await new Promise((resolve) => setTimeout(resolve, 10));
    mortal.kill();
    await Promise.all(all);
  });
});
