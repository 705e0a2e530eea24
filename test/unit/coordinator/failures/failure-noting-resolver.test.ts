import assert from "node:assert/strict";
import { it } from "node:test";
import { Op as PbOp } from "../../../../src/api/gen/ops.ts";
import { FailureNotingResolver } from "../../../../src/coordinator/failures/failure-noting-resolver.ts";
import { SolveError } from "../../../../src/coordinator/failures/solve-error.ts";
import { BuildError } from "../../../../src/core/errors/build-error.ts";
import { Code } from "../../../../src/core/errors/code.ts";
import { StepFailedError } from "../../../../src/core/errors/step-failed-error.ts";
import type { Op, OpContext, Vertex } from "../../../../src/core/seams/op.ts";
import { sha256 } from "../../../../src/core/values/digest.ts";
import type { LayerId, LayerInfo, Ref } from "../../../../src/core/values/layer.ts";

const vertex = { payload: { op: PbOp.fromPartial({}) } } as unknown as Vertex;
const contextOf = (signal: AbortSignal) => ({ signal }) as OpContext;
const failing = (error: unknown): Op<Ref> => ({
  cacheMap: async () => ({
    map: { digest: sha256("x"), deps: [{}, { computeDigest: () => Promise.reject(error) }] },
    done: true,
  }),
  exec: () => Promise.reject(error),
});

it("failures of runs and of content keys name their vertex", async () => {
  const noted: SolveError[] = [];
  const error = new BuildError(Code.NotFound, "gone");
  const op = new FailureNotingResolver({ resolve: () => failing(error) }, (failure) => noted.push(failure)).resolve(
    vertex,
  );
  const context = contextOf(new AbortController().signal);
  const ran = await op.exec([], context).catch((thrown: unknown) => thrown);
  const { map } = await op.cacheMap(0, context);
  assert.equal(map.deps[0]?.computeDigest, undefined);
  const keyed = await map.deps[1]?.computeDigest?.({ layers: [] }, context).catch((thrown: unknown) => thrown);
  assert.deepEqual(noted, [ran, keyed]);
  assert.deepEqual(
    noted.map(({ message, code, subject }) => [message, code, subject]),
    [
      ["gone", Code.NotFound, undefined],
      ["gone", Code.NotFound, { kind: "cache", index: 1 }],
    ],
  );
});

it("a cancelled run is no failure, and of a nested build the inner step counts", async () => {
  const noted: SolveError[] = [];
  const inner = SolveError.ofCacheMap(new Error("inner"), vertex);
  const resolve = (error: unknown) =>
    new FailureNotingResolver({ resolve: () => failing(error) }, (failure) => noted.push(failure)).resolve(vertex);
  const wrapped = inner.wrap("outer");
  await assert.rejects(
    resolve(wrapped).exec([], contextOf(new AbortController().signal)),
    (error) => error === wrapped,
  );
  assert.deepEqual(noted, []);
  const reason = new Error("cancelled");
  await assert.rejects(resolve(reason).exec([], contextOf(AbortSignal.abort())), (error) => error === reason);
  assert.deepEqual(noted, []);
  const state = { results: [], layers: [{ id: "left" as LayerId } as LayerInfo] };
  const late = new StepFailedError(new BuildError(Code.Unknown, "no"), state);
  await assert.rejects(resolve(late).exec([], contextOf(AbortSignal.abort())), (error) => error === late);
  assert.deepEqual(
    noted.map(({ layers }) => layers),
    [state.layers],
  );
});
