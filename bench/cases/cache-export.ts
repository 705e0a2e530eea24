import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { fileGraph, graphShapes } from "../data/graphs.ts";
import type { Endpoint } from "../endpoints/endpoint.ts";
import type { Figure } from "../figure.ts";
import type { CompareOptions, Time, Workbench } from "../workbench.ts";
import type { BenchCase } from "./bench-case.ts";

/** The whole cache of a large graph, whose layers were never packed, and again when the target has it. */
export const cacheExport: BenchCase = {
  name: "cache-export",
  about: "export of the whole cache of 2,000 file ops, built before, into a directory: first, and again",
  run: (bench) => eachShape(bench, 2000, exportTwice),
};

/** A size at which BuildKit takes minutes to look up, and longer to export; it could not import the result. */
export const cacheExportLarge: BenchCase = {
  name: "large-cache-export",
  about: "the same with 10,000 file ops, without the peer",
  run: (bench) => eachShape(bench, 10_000, exportTwice, { alone: true }),
};

async function exportTwice({ solve, time, directory, definition }: Round): Promise<void> {
  await solve({ definition });
  await time("first export", () => solve({ definition, cacheTo: directory }));
  await time("again", () => solve({ definition, cacheTo: directory }));
}

/** As many vertices as BuildKit can import: it refuses configs over 1 MiB. */
const importable = 1500;

/** A daemon that knows nothing finds everything in an imported cache. */
export const cacheImportHit: BenchCase = {
  name: "cache-import-hit",
  about: `${importable} file ops, all of them found in an imported cache by a daemon that was pruned`,
  run: (bench) =>
    eachShape(bench, importable, async ({ solve, prune, time, directory, definition }) => {
      await solve({ definition, cacheTo: directory });
      await prune();
      await time("", () => solve({ definition, cacheFrom: directory }));
    }),
};

interface Round {
  solve(spec: Parameters<Workbench["client"]["solve"]>[1]): Promise<void>;
  prune(): Promise<void>;
  readonly time: Time;
  /** Of the client, not there yet. */
  readonly directory: string;
  /** A graph that nobody has built. */
  readonly definition: Uint8Array;
}

async function eachShape(
  bench: Workbench,
  full: number,
  round: (parts: Round) => Promise<void>,
  options?: CompareOptions,
): Promise<Figure[]> {
  const vertices = Math.round(full * bench.scale);
  const figures: Figure[] = [];
  for (const shape of graphShapes) {
    const name = `cache of ${vertices.toLocaleString("en-US")} vertices, ${shape}`;
    const run = async (endpoint: Endpoint, time: Time) => {
      const directory = join(bench.directory, `cache-${randomUUID()}`);
      await round({
        solve: (spec) => bench.client.solve(endpoint, spec),
        prune: () => bench.client.prune(endpoint),
        time,
        directory,
        definition: fileGraph(shape, vertices, randomUUID()),
      });
      await rm(directory, { recursive: true });
      await bench.client.prune(endpoint);
    };
    figures.push(...(await bench.compare(name, bench.rounds(1), run, options)));
  }
  return figures;
}
