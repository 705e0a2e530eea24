import { randomUUID } from "node:crypto";
import { fileGraph, graphShapes } from "../data/graphs.ts";
import type { Figure } from "../figure.ts";
import type { BenchCase } from "./bench-case.ts";

/** What look-ups cost in a graph so large that nothing else counts. */
export const cachedGraph: BenchCase = {
  name: "cached-graph",
  about: "an LLB graph of 1,000 file ops, all of it cached: a chain, a wide one, one of diamonds",
  async run(bench) {
    const vertices = Math.round(1000 * bench.scale);
    const figures: Figure[] = [];
    for (const shape of graphShapes) {
      const definition = fileGraph(shape, vertices, randomUUID());
      const seen = new Set<string>();
      const name = `${vertices.toLocaleString("en-US")} cached vertices, ${shape}`;
      figures.push(
        ...(await bench.compare(name, bench.rounds(9), async (endpoint, time) => {
          if (!seen.has(endpoint.name)) await bench.client.solve(endpoint, { definition });
          seen.add(endpoint.name);
          await time("", () => bench.client.solve(endpoint, { definition }));
        })),
      );
    }
    return figures;
  },
};
