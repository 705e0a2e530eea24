import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Op } from "../../../../src/api/gen/ops.ts";
import { FailedSteps, type FailedStepsOptions } from "../../../../src/coordinator/failures/failed-steps.ts";
import { SolveError } from "../../../../src/coordinator/failures/solve-error.ts";
import { BuildError } from "../../../../src/core/errors/build-error.ts";
import { Code } from "../../../../src/core/errors/code.ts";
import { StepFailedError } from "../../../../src/core/errors/step-failed-error.ts";
import type { Vertex } from "../../../../src/core/seams/op.ts";
import type { LayerId, LayerInfo } from "../../../../src/core/values/layer.ts";
import { withSignal } from "../../../../src/util/abort.ts";

const file = Op.fromPartial({ op: { $case: "file", value: {} } });
const vertex = { payload: { op: file } } as unknown as Vertex;

function failure(layer: string): SolveError {
  const layers = [{ id: layer as LayerId } as LayerInfo];
  const state = { results: [{ layers: [layer as LayerId] }], layers };
  return SolveError.ofRun(new StepFailedError(new BuildError(Code.Unknown, "no"), state), vertex, []);
}

describe("what failed steps leave", () => {
  const start = (options: Partial<FailedStepsOptions> = {}) => {
    const sleeps: { readonly ms: number; readonly over: () => void }[] = [];
    const dropped: LayerId[] = [];
    const pinned = new Set<LayerId>();
    const steps = new FailedSteps({
      clock: {
        now: () => 7,
        sleep: (ms, signal) => {
          const { promise, resolve } = Promise.withResolvers<void>();
          sleeps.push({ ms, over: resolve });
          return withSignal(promise, signal ?? new AbortController().signal);
        },
      },
      keepMs: 600,
      maxSteps: 10,
      pin: (layers) => {
        for (const id of layers) pinned.add(id);
        return () => layers.forEach((id) => void pinned.delete(id));
      },
      drop: async (layers) => void dropped.push(...layers),
      ...options,
    });
    const settled = () => new Promise((resolve) => setImmediate(resolve));
    return { steps, sleeps, dropped, pinned, settled };
  };
  const build = { ref: "b1", sessionIds: [], entitlements: [] };

  it("is held while the build runs, then kept for a while", async () => {
    const { steps, sleeps, dropped, pinned, settled } = start();
    const failed = failure("l");
    steps.note(failed);
    const failures = steps.ofBuild(build);
    failures.add(failed.wrap("context"));
    failures.add(failed);
    sleeps[0]?.over();
    await settled();
    assert.deepEqual([[...pinned], dropped, steps.builds], [["l"], [], []]);
    failures.end(true);
    assert.deepEqual([[...pinned], dropped], [[], []]);
    assert.deepEqual(
      steps.builds.map(({ ref, endedAt, steps: [step] }) => ({ ref, endedAt, step })),
      [{ ref: "b1", endedAt: 7, step: failed }],
    );
    assert.equal(sleeps[1]?.ms, 600);
    sleeps[1]?.over();
    await settled();
    assert.deepEqual([dropped, steps.builds, steps.use(failed)], [["l"], [], undefined]);
  });

  it("stays while somebody looks at it", async () => {
    const { steps, sleeps, dropped, settled } = start();
    const failed = failure("l");
    steps.note(failed);
    const use = steps.use(failed);
    for (const { over } of sleeps) over();
    await settled();
    assert.deepEqual(dropped, []);
    use?.[Symbol.dispose]();
    use?.[Symbol.dispose]();
    sleeps.at(-1)?.over();
    await settled();
    assert.deepEqual(dropped, ["l"]);
  });

  it("goes when no build is told of it, or the build ends well", async () => {
    const { steps, sleeps, dropped, settled } = start({ keepMs: 0 });
    const told = failure("told");
    for (const each of [failure("untold"), told]) steps.note(each);
    const failures = steps.ofBuild(build);
    failures.add(told);
    assert.deepEqual(
      sleeps.map(({ ms }) => ms > 0),
      [true, true],
    );
    sleeps[0]?.over();
    await settled();
    assert.deepEqual(dropped, ["untold"]);
    failures.end(false);
    assert.deepEqual([dropped, steps.builds], [["untold", "told"], []]);
  });

  it("is never of more than so many steps, and the newest is not the one to go", () => {
    const { steps, dropped } = start({ maxSteps: 2 });
    const [first, second, third] = ["1", "2", "3"].map(failure) as [SolveError, SolveError, SolveError];
    steps.note(first);
    steps.note(second);
    steps.use(first);
    steps.note(third);
    assert.deepEqual(dropped, ["2"]);
  });
});
