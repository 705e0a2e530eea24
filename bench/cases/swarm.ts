import { SandboxNetwork } from "../../test/helpers/sandbox/network.ts";
import { SwarmPeer } from "../../test/helpers/swarm/swarm-peer.ts";
import type { Figure } from "../figure.ts";
import type { BenchCase } from "./bench-case.ts";

const receivers = 8;
/** Slow enough for nine agents to share one machine's processors: the link is to be the limit. */
const megabitsPerSecond = Number(process.env["SWARM_MBIT"] ?? 200);

/** A hot layer: one agent has it, many want it at once. */
export const swarm: BenchCase = {
  name: "swarm",
  about: `1 GB blob from one agent to 1 and to ${receivers} at once, network namespaces, ${megabitsPerSecond} Mbit/s each way (SWARM_MBIT)`,
  async run(bench) {
    await using owned = new AsyncDisposableStack();
    const network = owned.use(await SandboxNetwork.create());
    const peers: SwarmPeer[] = [];
    while (peers.length <= receivers) {
      const host = await network.addHost();
      await host.limitRate(megabitsPerSecond);
      peers.push(owned.use(await SwarmPeer.start(host, bench.directory)));
    }
    const [holder, ...others] = peers as [SwarmPeer, ...SwarmPeer[]];
    const size = Math.round(1e9 * bench.scale);
    let seed = 0;

    const fetchAll = async (agents: readonly SwarmPeer[], plain = false) => {
      const blob = await holder.make(size, ++seed);
      const before = await holder.host.sentBytes();
      const fetched = await Promise.all(agents.map((agent) => agent.fetch(blob, [holder.url], plain)));
      const copies = ((await holder.host.sentBytes()) - before) / size;
      const seconds = Math.max(...fetched.map((one) => one.seconds));
      bench.say(
        `  to ${agents.length}${plain ? ", in one stream" : ""}: ${seconds.toFixed(2)} s, ${copies.toFixed(3)} copies`,
      );
      return { seconds, copies };
    };

    const stream: number[] = [];
    const one: number[] = [];
    const all: number[] = [];
    const ratio: number[] = [];
    const copies: number[] = [];
    for (let round = 0; round < bench.rounds(1); round++) {
      const alone = others.slice(0, 1);
      stream.push((await fetchAll(alone, true)).seconds);
      one.push((await fetchAll(alone)).seconds);
      const spread = await fetchAll(others);
      all.push(spread.seconds);
      ratio.push(spread.seconds / (one.at(-1) ?? 0));
      copies.push(spread.copies);
    }
    const figures: Figure[] = [
      { name: "blob to 1 agent, in one stream", unit: "s", ours: stream },
      { name: "blob to 1 agent, in chunks", unit: "s", ours: one },
      { name: `blob to ${receivers} agents at once`, unit: "s", ours: all },
      { name: `time of ${receivers} over time of 1`, unit: "×", ours: ratio },
      { name: `copies sent by the first holder to ${receivers}`, unit: "×", ours: copies },
    ];
    return figures;
  },
};
