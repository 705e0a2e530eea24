import assert from "node:assert/strict";
import { test } from "node:test";
import { MergeOp as PbMergeOp } from "../../../../src/api/gen/ops.ts";
import { MergeOp } from "../../../../src/coordinator/ops/merge-op.ts";
import type { LayerId } from "../../../../src/core/values/layer.ts";
import type { LlbPayload } from "../../../../src/llb/definition/index.ts";

const refOf = (names: string) => ({ layers: [...names] as LayerId[] });

test("a merge begins with all layers of its first input, also those that come again", async () => {
  const merge = PbMergeOp.fromPartial({ inputs: [{ input: 0 }, { input: 1 }] });
  const [merged] = await new MergeOp({} as LlbPayload, merge).exec([refOf("abcd"), refOf("aex")]);
  assert.deepEqual(merged, refOf("abcdaex"));
});
