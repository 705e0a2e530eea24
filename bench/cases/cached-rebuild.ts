import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { BenchCase } from "./bench-case.ts";

/** The commonest build of all: nothing has changed. */
export const cachedRebuild: BenchCase = {
  name: "cached-rebuild",
  about: "a build of 10 steps, RUN and COPY by turns, all of them cached",
  async run(bench) {
    const base = await bench.baseImage();
    const context = join(bench.directory, "small-context");
    await mkdir(context, { recursive: true });
    const lines = [`FROM ${base}`];
    for (let step = 0; step < 5; step++) {
      await writeFile(join(context, `file-${step}`), `content ${step}\n`);
      lines.push(`RUN echo ${step} > /step-${step}`, `COPY file-${step} /copied-${step}`);
    }
    const dockerfile = await bench.dockerfile(`${lines.join("\n")}\n`);
    const seen = new Set<string>();
    return bench.compare("10 steps, fully cached", bench.rounds(15), async (endpoint, time) => {
      if (!seen.has(endpoint.name)) await bench.client.build(endpoint, { dockerfile, context });
      seen.add(endpoint.name);
      await time("", () => bench.client.build(endpoint, { dockerfile, context }));
    });
  },
};
