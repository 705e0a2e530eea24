import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { LayerLostError } from "../../../src/core/errors/layer-lost-error.ts";
import type { Job } from "../../../src/solver/index.ts";
import {
  edge,
  LostLayers,
  type NumberResult,
  type NumberVertex,
  numberSolver,
  results,
  vertex,
} from "../../helpers/number-graph.ts";

interface NodeSpec {
  /** Inputs as distances back; none at the start of the list. */
  readonly back: readonly number[];
  /** Ops of one kind are equal: what differs is what they are used on. Of kind 0 are merges. */
  readonly kind: number;
  readonly content: boolean;
  readonly turns: number;
}

const node = fc.record<NodeSpec>({
  back: fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 3 }),
  kind: fc.nat({ max: 5 }),
  content: fc.boolean(),
  turns: fc.integer({ min: 0, max: 4 }),
});

/** After so many turns of the event loop, a share of all there is is lost. */
const loss = fc.record({
  turns: fc.integer({ min: 1, max: 15 }),
  share: fc.double({ min: 0.05, max: 1, noNaN: true }),
});

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}

function makeGraph(nodes: readonly NodeSpec[], lost: LostLayers): NumberVertex[] {
  const graph: NumberVertex[] = [];
  for (const [i, { back, kind, content, turns: count }] of nodes.entries()) {
    const inputs = back.flatMap((distance) => {
      const input = graph[i - distance];
      return input === undefined ? [] : [edge(input)];
    });
    const merges = kind === 0 && inputs.length > 0;
    graph.push(
      vertex({
        name: `${kind} ${content} of ${inputs.length}`,
        inputs,
        content: content && !merges ? inputs.map((_, input) => input) : [],
        compute: (values) => (values.reduce((sum, value) => sum + value, kind) % ((kind % 4) + 1)) + 1,
        during: () => turns(count),
        ...(merges ? { merges } : { reads: lost.reads }),
      }),
    );
  }
  return graph;
}

function serial(of: NumberVertex): number {
  return of.payload.spec.compute?.(of.inputs.map(({ vertex: input }) => serial(input as NumberVertex))) ?? 0;
}

/** As an exporter does: what it cannot read is made anew, until it can. */
async function read(job: Job<NumberResult>, of: NumberVertex, lost: LostLayers): Promise<number> {
  for (;;) {
    const { result } = await job.build(edge(of), { signal: new AbortController().signal });
    try {
      lost.reads([result]);
      return result.value;
    } catch (error) {
      assert.ok(LayerLostError.is(error));
      assert.notDeepEqual(await job.discredit(error), [], "what is lost can be made anew");
    }
  }
}

describe("Solver whose results are lost at random", () => {
  it("gives what an undisturbed run gives, never runs a step twice at a time, and leaves nothing", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(node, { minLength: 1, maxLength: 14 }),
        fc.array(fc.array(fc.nat({ max: 30 }), { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 2 }),
        fc.array(loss, { maxLength: 4 }),
        async (nodes, rounds, losses) => {
          results.live.clear();
          let last = numberSolver();
          for (const wanted of rounds) {
            last = numberSolver(last);
            const { solver } = last;
            const lost = new LostLayers();
            const graphs = wanted.map(() => makeGraph(nodes, lost));
            const lose = async () => {
              for (const { turns: count, share } of losses) {
                await turns(count);
                const there = [...new Set([...results.live].flatMap(({ layers }) => layers))];
                lost.add(...there.filter((_, i) => (i * 7919) % 100 < share * 100));
              }
            };
            const disturbed = lose();
            const ends = await Promise.allSettled(
              wanted.map(async (place, i) => {
                const graph = graphs[i] as NumberVertex[];
                const target = graph[place % graph.length] as NumberVertex;
                const job = solver.newJob(`${i}`);
                try {
                  assert.equal(await read(job, target, lost), serial(target));
                } finally {
                  await job.discard();
                }
              }),
            );
            await disturbed;
            for (const end of ends) if (end.status === "rejected") throw end.reason;
            assert.deepEqual(solver.counts(), { jobs: 0, vertices: 0, runs: 0, draining: 0 });
            for (const { payload } of graphs.flat()) assert.ok(payload.mostAtOnce <= 1 && payload.running === 0);
            assert.equal(results.live.size, 0);
          }
        },
      ),
      { numRuns: 200, endOnFailure: false },
    );
  });
});
