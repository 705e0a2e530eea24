import { SandboxNetwork } from "../../test/helpers/sandbox/network.ts";
import { type BlobContent, SwarmPeer } from "../../test/helpers/swarm/swarm-peer.ts";
import type { Figure } from "../figure.ts";
import { computedSeconds } from "../workbench.ts";
import type { BenchCase } from "./bench-case.ts";

const megabitsPerSecond = Number(process.env["SLOW_LINK_MBIT"] ?? 100);

/** What compressing chunks on the wire is worth where the link is slow, and what it costs. */
export const slowLink: BenchCase = {
  name: "slow-link",
  about: `500 MB of a program, and of what does not compress, from one agent to another over ${megabitsPerSecond} Mbit/s each way (SLOW_LINK_MBIT)`,
  async run(bench) {
    await using owned = new AsyncDisposableStack();
    const network = owned.use(await SandboxNetwork.create());
    const start = async () => {
      const host = await network.addHost();
      await host.limitRate(megabitsPerSecond);
      return owned.use(await SwarmPeer.start(host, bench.directory));
    };
    const holder = await start();
    const size = Math.round(500e6 * bench.scale);
    let seed = 0;

    const fetched = async (content: BlobContent, plain: boolean) => {
      const seconds: number[] = [];
      const sent: number[] = [];
      const cpu: number[] = [];
      for (let round = 0; round < bench.rounds(1); round++) {
        // One of its own for each: it is to know nothing of the link.
        const receiver = await start();
        const blob = await holder.make(size, ++seed, content);
        const before = { bytes: await holder.host.sentBytes(), cpu: await computedSeconds(holder.pid) };
        const one = await receiver.fetch(blob, [holder.url], plain);
        seconds.push(one.seconds);
        sent.push(((await holder.host.sentBytes()) - before.bytes) / size);
        cpu.push((one.cpuSeconds + (await computedSeconds(holder.pid)) - before.cpu) / (size / 1e9));
      }
      const name = `${content}, ${plain ? "in one stream" : "in chunks"}`;
      const figures: Figure[] = [
        { name, unit: "s", ours: seconds },
        { name: `${name}: bytes sent over its size`, unit: "×", ours: sent },
        { name: `${name}: CPU of both`, unit: "s/GB", ours: cpu },
      ];
      for (const figure of figures) bench.say(`  ${figure.name}: ${figure.ours.map((value) => value.toFixed(2))}`);
      return figures;
    };
    return [
      ...(await fetched("program", true)),
      ...(await fetched("program", false)),
      ...(await fetched("incompressible", true)),
      ...(await fetched("incompressible", false)),
    ];
  },
};
