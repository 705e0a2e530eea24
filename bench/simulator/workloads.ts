import type { SimulatedBuild, SimulatedVertex, Workload } from "./graph.ts";
import { SeededRandom } from "./random.ts";

/** `slots`: of the whole fleet, for workloads that load it to a part. */
type Generator = (vertices: number, random: SeededRandom, slots: number) => Omit<Workload, "name">;

/** Graphs of about the wanted number of vertices. The same seed gives the same graph. */
export function workload(name: string, vertices: number, seed: number, slots: number): Workload {
  const generate = generators[name];
  if (generate === undefined) throw new Error(`no workload is called ${name}: ${Object.keys(generators).join(", ")}`);
  return { name, ...generate(vertices, new SeededRandom(seed), slots) };
}

export const workloadNames = (): readonly string[] => Object.keys(generators);

const generators: Readonly<Record<string, Generator>> = {
  wide: (count, random) => ({
    about: "steps side by side on one base of 500 MB, and one that needs them all",
    builds: [
      one((add) => {
        const base = add([], 5, 500e6);
        const middle = Array.from({ length: count - 2 }, () => add([base], random.longTailed(8, 2), 16e3));
        add(middle, 5, 10e6);
      }),
    ],
  }),
  deep: (count, random) => ({
    about: "chains of 100 steps, each on the one before",
    builds: [
      one((add) => {
        for (let chain = 0; chain < count / 100; chain++) {
          let last = add([], 1, 100e6);
          for (let step = 1; step < 100; step++) last = add([last], random.longTailed(2, 2), 10e6);
        }
      }),
    ],
  }),
  diamond: (count, random) => ({
    about: "ranks of 100 steps, each of which wants three of the rank before",
    builds: [
      one((add) => {
        let rank = Array.from({ length: 100 }, () => add([], 2, 50e6));
        for (let made = 100; made < count; made += 100) {
          rank = rank.map(() =>
            add([random.pick(rank), random.pick(rank), random.pick(rank)], random.longTailed(4, 2), 20e6),
          );
        }
      }),
    ],
  }),
  monorepo: (count, random) => ({
    about: "500 images on one base of 2 GB, some from a library that others want, too",
    builds: [
      one((add) => {
        const base = add([], 10, 2e9);
        const libraries = Array.from({ length: 50 }, () => add([base], random.longTailed(20, 2), 100e6));
        const length = Math.max(1, Math.round((count - 51) / 500));
        for (let image = 0; image < 500; image++) {
          let last = add([base, random.pick(libraries)], random.longTailed(6, 2), 50e6);
          for (let step = 1; step < length; step++) last = add([last], random.longTailed(6, 2), 30e6);
        }
      }),
    ],
  }),
  tenants: (count, random) => ({
    about: "20 tenants whose builds of 50 steps come at random; one tenant sends half of them all at once",
    builds: Array.from({ length: Math.ceil(count / 50) }, (_, index): SimulatedBuild => {
      const greedy = index % 2 === 0;
      return {
        ...one((add) => tenStages(add, add([], 3, 300e6), random), `build-${index}`),
        tenant: greedy ? "greedy" : `tenant-${random.integer(1, 19)}`,
        arrival: greedy ? 0 : random.between(0, 120),
      };
    }),
  }),
  steady: (count, random, slots) => ({
    about: "20 tenants who build 4 stages of 11 steps and one that takes from them, so that 6 of 10 slots are in use",
    ...steady(count, random, slots, (add, image) => {
      const stages = Array.from({ length: 4 }, () => chain(add, image, 11, random));
      let last = add([image, ...stages], random.longTailed(3, 2), 20e6);
      for (let step = 1; step < 6; step++) last = add([last], random.longTailed(3, 2), 10e6);
    }),
  }),
  "steady-wide": (count, random, slots) => ({
    about: "the same with builds of ten stages and nine steps which take from all of them",
    ...steady(count, random, slots, (add, image) => tenStages(add, image, random)),
  }),
};

/** Builds of 50 steps, on two images of each tenant that a registry has, which load the fleet to 60 %. */
function steady(
  count: number,
  random: SeededRandom,
  slots: number,
  make: (add: Add, image: string) => void,
): Pick<Workload, "images" | "builds"> {
  const names = Array.from({ length: 20 }, (_, index) => [`tenant-${index + 1}/1`, `tenant-${index + 1}/2`]).flat();
  const images = new Map(names.map((name) => [name, random.between(100e6, 800e6)]));
  const builds = Array.from({ length: Math.ceil(count / 50) }, (_, index): SimulatedBuild => {
    const tenant = `tenant-${random.integer(1, 20)}`;
    const image = `${tenant}/${random.integer(1, 2)}`;
    return { ...one((add) => make(add, image), `build-${index}`), tenant };
  });
  return { images, builds: atLoad(builds, 0.6, slots, random) };
}

function tenStages(add: Add, base: string, random: SeededRandom): void {
  const stages = Array.from({ length: 10 }, () => chain(add, base, 4, random));
  for (let made = 41; made < 50; made++) add(stages, random.longTailed(3, 2), 10e6);
}

/** @returns its last vertex */
function chain(add: Add, base: string, steps: number, random: SeededRandom): string {
  let last = base;
  for (let step = 0; step < steps; step++) last = add([last], random.longTailed(5, 2), 20e6);
  return last;
}

/** Lets builds come at random so that this share of the slots is in use, on average. */
function atLoad(
  builds: readonly SimulatedBuild[],
  load: number,
  slots: number,
  random: SeededRandom,
): readonly SimulatedBuild[] {
  const work = builds.flatMap(({ vertices }) => vertices).reduce((sum, { seconds }) => sum + seconds, 0);
  const duration = work / slots / load;
  return builds.map((build) => ({ ...build, arrival: random.between(0, duration) }));
}

type Add = (inputs: readonly string[], seconds: number, outputBytes: number) => string;

function one(make: (add: Add) => void, id = "build"): SimulatedBuild {
  const vertices: SimulatedVertex[] = [];
  make((inputs, seconds, outputBytes) => {
    const vertex = `${id}/${vertices.length}`;
    vertices.push({ id: vertex, inputs: [...new Set(inputs)], seconds, outputBytes, cores: 1, memoryBytes: 1e9 });
    return vertex;
  });
  return { id, tenant: "one", priority: 0, arrival: 0, vertices };
}
