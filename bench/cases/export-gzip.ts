import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { BenchCase } from "./bench-case.ts";

/** Packing, compressing, hashing and sending a layer that was built before. */
export const exportGzip: BenchCase = {
  name: "export-gzip",
  about: "type=oci,compression=gzip of an image with one 500 MB layer, built before",
  async run(bench) {
    const context = await bench.bigTree();
    const dockerfile = await bench.dockerfile("FROM scratch\nCOPY . /\n");
    const file = join(bench.directory, "export.tar");
    return bench.compare("export of a 500 MB layer, gzip", bench.rounds(3), async (endpoint, time) => {
      await bench.client.prune(endpoint);
      await bench.client.build(endpoint, { dockerfile, context });
      const output = { type: "oci", attributes: { compression: "gzip" }, file } as const;
      await time("", () => bench.client.build(endpoint, { dockerfile, context, output }));
      await rm(file);
    });
  },
};
