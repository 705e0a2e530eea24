import type { Figure } from "../figure.ts";
import type { Workbench } from "../workbench.ts";
import type { BenchCase } from "./bench-case.ts";

export const contextBytes: BenchCase = {
  name: "context-bytes",
  about: "COPY of a 500 MB context: first build, and again unchanged",
  run: async (bench) => sendTwice(bench, "500 MB context", await bench.bigTree()),
};

export const contextFiles: BenchCase = {
  name: "context-files",
  about: "COPY of a context of 20,000 small files: first build, and again unchanged",
  run: async (bench) => sendTwice(bench, "20,000-file context", await bench.manyFiles()),
};

async function sendTwice(bench: Workbench, name: string, context: string): Promise<Figure[]> {
  const dockerfile = await bench.dockerfile("FROM scratch\nCOPY . /\n");
  return bench.compare(name, bench.rounds(3), async (endpoint, time) => {
    await bench.client.prune(endpoint);
    await time("first", () => bench.client.build(endpoint, { dockerfile, context }));
    await time("second", () => bench.client.build(endpoint, { dockerfile, context }));
  });
}
