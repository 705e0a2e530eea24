import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { LocalContentStore } from "../../src/content/index.ts";
import { LayerPacker, LayerWorkers } from "../../src/snapshot/index.ts";
import type { BenchCase } from "../cases/bench-case.ts";
import type { Figure } from "../figure.ts";
import { secondsOf } from "../workbench.ts";

/** A layer becomes a blob, and a blob a layer: tar, compression, digests, content store. */
export const layerPack: BenchCase = {
  name: "micro-layer",
  about: "500 MB layer to a blob (gzip, zstd, uncompressed) and back",
  async run(bench) {
    const layer = await bench.bigTree();
    await using workers = new LayerWorkers();
    const store = await LocalContentStore.open(join(bench.directory, "layer-blobs"));
    const packer = new LayerPacker({ workers, store });
    const megabytes = 500 * bench.scale;
    const figures: Figure[] = [];
    for (const type of ["gzip", "zstd", "uncompressed"] as const) {
      const compression = { type, ociMediaTypes: true, force: false };
      const unpacked: number[] = [];
      const packed = await bench.sample(`layer to blob, ${type}`, "MB/s", bench.rounds(3), async () => {
        let digest: Awaited<ReturnType<LayerPacker["pack"]>>["digest"] | undefined;
        const seconds = await secondsOf(async () => {
          digest = (await packer.pack(layer, compression)).digest;
        });
        if (digest === undefined) throw new Error("no blob");
        await mkdir(join(bench.directory, "unpacked"), { recursive: true });
        const target = await mkdtemp(join(bench.directory, "unpacked", "layer-"));
        const blob = store.read(digest);
        unpacked.push(megabytes / (await secondsOf(() => packer.apply(blob, target, async () => []))));
        await rm(target, { recursive: true });
        await store.delete(digest);
        bench.say(`  ${type}: pack ${seconds.toFixed(2)} s`);
        return megabytes / seconds;
      });
      figures.push(packed, { name: `blob to layer, ${type}`, unit: "MB/s", ours: unpacked.slice(1) });
    }
    return figures;
  },
};
