import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BuildxClient } from "../clients/buildx-client.ts";
import { writeBigTree } from "../data/trees.ts";
import type { Figure } from "../figure.ts";
import type { Workbench } from "../workbench.ts";
import type { BenchCase } from "./bench-case.ts";

const targetsOfContext = 20;
const cachedTargets = 40;
const baseBytes = 2e9;
const baseLayers = 4;

/** A client asks for each target by itself: what they share must not be sent again for each. */
export const bakeSharedContext: BenchCase = {
  name: "bake-context",
  about: `docker buildx bake of ${targetsOfContext} targets that copy the same 500 MB context, nothing cached`,
  run: (bench) =>
    withBuildx(bench, async (buildx) => {
      const context = await bench.bigTree();
      const dockerfile = await bench.dockerfile("FROM scratch\nARG N\nCOPY . /\nLABEL n=$N\n");
      const targets = numbered(targetsOfContext, (n) => ({
        ...target(context, dockerfile, n),
        output: ["type=cacheonly"],
      }));
      const file = await bakeFile(bench, "context", targets);
      return bench.compare(
        `bake of ${targetsOfContext} targets sharing a context`,
        bench.rounds(3),
        async (endpoint, time) => {
          await bench.client.prune(endpoint);
          await time("", () => buildx.bake(endpoint, file));
        },
      );
    }),
};

/** Nothing is built and nothing is new to the registry: what is left is asking. */
export const bakeCached: BenchCase = {
  name: "bake-cached",
  about: `docker buildx bake of ${cachedTargets} images on one base of 2 GB, all cached, pushed to a registry that has them`,
  run: (bench) =>
    withBuildx(bench, async (buildx) => {
      const base = await largeBase(bench);
      const context = await bench.dockerfile(`FROM ${base}\nARG N\nRUN echo $N > /n\nCOPY Dockerfile /d\n`);
      const registry = await bench.registry();
      const seen = new Set<string>();
      return bench.compare(
        `cached bake of ${cachedTargets} images on a large base`,
        bench.rounds(5),
        async (endpoint, time) => {
          const targets = numbered(cachedTargets, (n) => ({
            ...target(context, context, n),
            tags: [`${registry}/bench/${endpoint.name}-${n}:latest`],
            output: ["type=registry"],
          }));
          const file = await bakeFile(bench, endpoint.name, targets);
          if (!seen.has(endpoint.name)) await buildx.bake(endpoint, file);
          seen.add(endpoint.name);
          await time("", () => buildx.bake(endpoint, file));
        },
      );
    }),
};

async function withBuildx(bench: Workbench, measure: (buildx: BuildxClient) => Promise<Figure[]>): Promise<Figure[]> {
  const buildx = await bench.once("buildx", () => BuildxClient.find(join(bench.directory, "buildx")));
  if (buildx !== undefined) return measure(buildx);
  bench.say("  skipped: there is no docker-buildx on the PATH");
  return [];
}

function target(context: string, dockerfile: string, n: string): object {
  return { context, dockerfile: join(dockerfile, "Dockerfile"), args: { N: n } };
}

function numbered(count: number, make: (n: string) => object): Readonly<Record<string, object>> {
  return Object.fromEntries(Array.from({ length: count }, (_, n) => [`target-${n}`, make(`${n}`)]));
}

/** @returns path of a file whose default group are all of these targets */
async function bakeFile(bench: Workbench, name: string, targets: Readonly<Record<string, object>>): Promise<string> {
  const path = join(bench.directory, `bake-${name}.json`);
  await writeFile(path, JSON.stringify({ group: { default: { targets: Object.keys(targets) } }, target: targets }));
  return path;
}

/** Reference of an image with a shell and much besides. */
async function largeBase(bench: Workbench): Promise<string> {
  const directory = join(bench.directory, "large-base");
  await writeBigTree(directory, baseBytes * bench.scale, baseLayers);
  const layers = Array.from({ length: baseLayers }, (_, index) => `COPY ${index} /${index}\n`);
  // Layers of its own in each run, so that a peer has them no earlier than we do.
  const dockerfile = `FROM ${await bench.baseImage()}\nLABEL run=${randomUUID()}\n${layers.join("")}`;
  return bench.pushImage("large-base", directory, dockerfile);
}
