import { randomUUID } from "node:crypto";
import type { Edge } from "../../core/seams/op.ts";
import type { Ref } from "../../core/values/layer.ts";
import type { Solver } from "../../solver/index.ts";

/** Builds an edge for nobody's build. The ref lives until it is disposed. */
export async function evaluateEdge(
  solver: Solver<Ref>,
  edge: Edge,
  signal: AbortSignal,
): Promise<{ readonly ref: Ref } & AsyncDisposable> {
  const job = solver.newJob(`debug ${randomUUID()}`);
  try {
    const { result } = await job.build(edge, { signal });
    return { ref: result, [Symbol.asyncDispose]: () => job.discard() };
  } catch (error) {
    await job.discard();
    throw error;
  }
}
