import type { KeyValueStore } from "../../core/seams/key-value.ts";
import type { Vertex } from "../../core/seams/op.ts";
import type { StepWork } from "../../core/seams/task-dispatcher.ts";
import type { LlbPayload } from "../../llb/definition/index.ts";
import { reducedVertex } from "./reduced-vertex.ts";
import { StepHistory } from "./step-history.ts";
import { VertexRanks } from "./vertex-ranks.ts";

/** Steps that nobody ran for so long are forgotten. */
const historyTtlMs = 30 * 24 * 3_600_000;

/** What is expected of steps, as one coordinator sees it. The history belongs to `owned`. */
export async function openPlanning(keyValues: KeyValueStore, owned: AsyncDisposableStack) {
  const history = owned.use(await StepHistory.open(await keyValues.open("step-history", { ttlMs: historyTtlMs })));
  const ranks = new VertexRanks(history);
  const work = (vertex: Vertex): StepWork => {
    const { op, platform } = vertex.payload as LlbPayload;
    const historyKey = reducedVertex(op, platform);
    return { rank: ranks.of(vertex), ...(historyKey === undefined ? {} : { historyKey }) };
  };
  return { history, ranks, work };
}
