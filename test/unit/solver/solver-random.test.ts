import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { edge, type NumberVertex, numberSolver, results, vertex } from "../../helpers/number-graph.ts";

interface NodeSpec {
  /** Inputs as distances back; none at the start of the list. */
  readonly back: readonly number[];
  /** Ops of one kind are equal: what differs is what they are used on. */
  readonly kind: number;
  readonly ignoreCache: boolean;
  readonly random: boolean;
  readonly fails: boolean;
  readonly turns: number;
}

interface JobSpec {
  readonly wants: number;
  /** Turns of the event loop after which the job is cancelled. */
  readonly cancelAfter: number | undefined;
  readonly startAfter: number;
}

const node = fc.record<NodeSpec>({
  back: fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 3 }),
  kind: fc.nat({ max: 7 }),
  ignoreCache: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  random: fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
  fails: fc.integer({ min: 0, max: 19 }).map((n) => n === 0),
  turns: fc.integer({ min: 0, max: 4 }),
});

const job = fc.record<JobSpec>({
  wants: fc.nat({ max: 30 }),
  cancelAfter: fc.option(fc.integer({ min: 0, max: 30 }), { nil: undefined }),
  startAfter: fc.integer({ min: 0, max: 10 }),
});

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** Names carry `salt` where a vertex is random, so that only content can match between rounds. */
function makeGraph(nodes: readonly NodeSpec[], salt: string): NumberVertex[] {
  const graph: NumberVertex[] = [];
  for (const [i, spec] of nodes.entries()) {
    const inputs = spec.back.flatMap((distance) => {
      const input = graph[i - distance];
      return input === undefined ? [] : [edge(input)];
    });
    const random = spec.random && inputs.length === 0;
    const { kind } = spec;
    const name = `${kind} of ${inputs.length}${spec.fails ? ` fails at ${i}` : ""}`;
    graph.push(
      vertex({
        name: random ? `${name} ${i} ${salt}` : name,
        inputs,
        random,
        ignoreCache: spec.ignoreCache,
        content: kind % 2 === 0 ? inputs.map((_, input) => input) : [],
        compute: (values) => (values.reduce((sum, value) => sum + value, kind) % ((kind % 4) + 1)) + 1,
        ...(spec.fails ? { failExec: `node ${i} fails` } : {}),
        during: () => turns(spec.turns),
        duringMap: () => turns(spec.turns % 2),
      }),
    );
  }
  return graph;
}

/** What a serial run gives: the value, or the names of the failures that may be reported. */
function serial(of: NumberVertex): number | string[] {
  const memo = new Map<NumberVertex, number | string[]>();
  const visit = (v: NumberVertex): number | string[] => {
    const known = memo.get(v);
    if (known !== undefined) return known;
    const inputs = v.inputs.map(({ vertex: input }) => visit(input as NumberVertex));
    const failures = inputs.filter((input) => typeof input !== "number").flat();
    const { failExec, compute } = v.payload.spec;
    if (failures.length === 0 && failExec !== undefined) failures.push(failExec);
    const outcome = failures.length > 0 ? failures : (compute?.(inputs as number[]) ?? 0);
    memo.set(v, outcome);
    return outcome;
  };
  return visit(of);
}

describe("Solver on random graphs", () => {
  it("gives what a serial run gives, or an error that names its cause, and leaves nothing", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(node, { minLength: 1, maxLength: 16 }),
        fc.array(fc.array(job, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 3 }),
        async (nodes, rounds) => {
          results.live.clear();
          let last = numberSolver();
          for (const [round, jobs] of rounds.entries()) {
            last = numberSolver(last);
            const { solver } = last;
            // Each job has a graph of its own: vertices are shared by digest, not by object.
            const graphs = jobs.map(() => makeGraph(nodes, `round ${round}`));
            await Promise.all(
              jobs.map(async (spec, i) => {
                await turns(spec.startAfter);
                const graph = graphs[i] ?? [];
                const wanted = graph[spec.wants % graph.length] as NumberVertex;
                const abort = new AbortController();
                const mine = solver.newJob(`${i}`);
                if (spec.cancelAfter !== undefined) turns(spec.cancelAfter).then(() => abort.abort());
                const expected = serial(wanted);
                try {
                  const { result, cacheKeys } = await mine.build(edge(wanted), { signal: abort.signal });
                  assert.equal(result.value, expected);
                  assert.ok(results.live.has(result), "a result lives as long as its job");
                  assert.ok(cacheKeys.length > 0);
                } catch (error) {
                  if (!(error instanceof BuildError)) throw error;
                  if (abort.signal.aborted && error.message === "context canceled") return;
                  assert.ok(
                    Array.isArray(expected) && expected.includes(error.message),
                    `${error.message} of ${expected}`,
                  );
                } finally {
                  await mine.discard();
                }
              }),
            );
            assert.deepEqual(solver.counts(), { jobs: 0, vertices: 0, runs: 0, draining: 0 });
            for (const v of graphs.flat()) assert.equal(v.payload.running, 0);
            assert.equal(results.live.size, 0);
          }
        },
      ),
      { numRuns: 150, endOnFailure: false },
    );
  });

  it("never runs a digest twice at a time, whatever is cancelled", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(job, { minLength: 2, maxLength: 8 }), async (jobs) => {
        const { solver } = numberSolver();
        const base = vertex({ name: "base", compute: () => 1, during: () => turns(3) });
        const top = vertex({ name: "top", inputs: [edge(base)], ignoreCache: true, during: () => turns(3) });
        await Promise.all(
          jobs.map(async ({ startAfter, cancelAfter }, i) => {
            await turns(startAfter);
            const abort = new AbortController();
            if (cancelAfter !== undefined) turns(cancelAfter).then(() => abort.abort());
            const mine = solver.newJob(`${i}`);
            await mine.build(edge(top), { signal: abort.signal }).catch(() => {});
            await mine.discard();
          }),
        );
        assert.deepEqual([base.payload.mostAtOnce <= 1, top.payload.mostAtOnce <= 1], [true, true]);
        assert.equal(solver.counts().vertices, 0);
      }),
      { numRuns: 100 },
    );
  });
});
