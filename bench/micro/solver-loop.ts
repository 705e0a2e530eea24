import type { CacheResultRecord, CacheResultStorage } from "../../src/core/seams/cache-storage.ts";
import { silentLogger } from "../../src/core/seams/logger.ts";
import type { CacheMap, Op, Vertex } from "../../src/core/seams/op.ts";
import { sha256 } from "../../src/core/values/digest.ts";
import { CacheManager, MemoryCacheKeyStorage, Solver } from "../../src/solver/index.ts";
import { systemClock } from "../../src/util/system-clock.ts";
import type { BenchCase } from "../cases/bench-case.ts";

const vertices = 1000;
const fanIn = 4;

/** The solver alone: ops that cost nothing, keys in memory, everything in the cache. */
export const solverLoop: BenchCase = {
  name: "micro-solver",
  about: `look-up of a cached graph of ${vertices} vertices with up to ${fanIn} inputs each, keys in memory`,
  async run(bench) {
    const cache = new CacheManager<string>({
      id: "bench",
      keys: new MemoryCacheKeyStorage(),
      results: new Results(),
    });
    const figure = await bench.sample(
      `solver, ${vertices} cached vertices`,
      "vertices/s",
      bench.rounds(9),
      async () => {
        const solver = new Solver<string>({
          resolver: { resolve: (vertex) => vertex.payload as Op<string> },
          cache,
          clock: systemClock,
          logger: silentLogger,
          sessionGroup: (ids) => ({ ids, get: noSession, any: noSession }),
        });
        const target = graph();
        const job = solver.newJob("bench");
        const start = performance.now();
        await job.build({ vertex: target, index: 0 }, { signal: new AbortController().signal });
        const seconds = (performance.now() - start) / 1000;
        await job.discard();
        return vertices / seconds;
      },
    );
    return [figure];
  },
};

/** Every vertex takes its predecessor, and some before that. @returns the last one */
function graph(): Vertex {
  const all: Vertex[] = [];
  for (let index = 0; index < vertices; index++) {
    const inputs = [1, 2, 3, 5].slice(0, 1 + (index % fanIn)).flatMap((back) => {
      const vertex = all[index - back];
      return vertex === undefined ? [] : [{ vertex, index: 0 }];
    });
    const digest = sha256(`vertex ${index}`);
    const map: CacheMap<string> = { digest: sha256(`op ${index}`), deps: inputs.map(() => ({})) };
    const op: Op<string> = { cacheMap: async () => ({ map, done: true }), exec: async () => [`result ${index}`] };
    all.push({
      digest,
      name: `step ${index}`,
      inputs,
      options: { ignoreCache: false, description: {} },
      payload: op,
    });
  }
  const last = all.at(-1);
  if (last === undefined) throw new Error("empty graph");
  return last;
}

class Results implements CacheResultStorage<string> {
  readonly #known = new Set<string>();

  async save(result: string, createdAt: number): Promise<CacheResultRecord> {
    this.#known.add(result);
    return { id: result, createdAt };
  }

  async load({ id }: CacheResultRecord): Promise<string | undefined> {
    return this.#known.has(id) ? id : undefined;
  }

  async exists(id: string): Promise<boolean> {
    return this.#known.has(id);
  }
}

async function noSession(): Promise<never> {
  throw new Error("no session");
}
