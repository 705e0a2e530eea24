import { ContentHasher } from "../../src/contenthash/index.ts";
import type { LayerId } from "../../src/core/values/layer.ts";
import type { BenchCase } from "../cases/bench-case.ts";
import { secondsOf, type Workbench } from "../workbench.ts";

/** What a COPY costs whose source is not known yet: reading and hashing, page cache warm. */
export const contentHash: BenchCase = {
  name: "micro-hash",
  about: "content digest of a directory never seen before: 20,000 small files, and 500 MB in large ones",
  async run(bench) {
    const many = await bench.manyFiles();
    const big = await bench.bigTree();
    return [
      await bench.sample("content hash, small files", "files/s", bench.rounds(5), async () => {
        return (20_000 * bench.scale) / (await hash(many, bench));
      }),
      await bench.sample("content hash, large files", "MB/s", bench.rounds(5), async () => {
        return (500 * bench.scale) / (await hash(big, bench));
      }),
    ];
  },
};

async function hash(directory: string, bench: Workbench): Promise<number> {
  await using hasher = new ContentHasher({ snapshotter: { layerPath: () => directory } });
  // Its threads are there already in an agent that has run for a while.
  await hasher.checksum({ layers: [] }, []);
  const seconds = await secondsOf(() => hasher.checksum({ layers: ["layer" as LayerId] }, []));
  bench.say(`  ${seconds.toFixed(3)} s`);
  return seconds;
}
