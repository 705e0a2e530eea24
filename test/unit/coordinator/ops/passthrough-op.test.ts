import assert from "node:assert/strict";
import { test } from "node:test";
import { PassthroughOp as PbPassthroughOp } from "../../../../src/api/gen/ops.ts";
import { PassthroughOp } from "../../../../src/coordinator/ops/passthrough-op.ts";
import type { LayerId } from "../../../../src/core/values/layer.ts";
import type { LlbPayload } from "../../../../src/llb/definition/index.ts";

const refOf = (names: string) => ({ layers: [...names] as LayerId[] });

test("a passthrough gives the inputs its outputs name, in any order, and nothing for -1", async () => {
  const { outputs } = PbPassthroughOp.fromPartial({ outputs: [1, -1, 0, 1] });
  const op = new PassthroughOp({} as LlbPayload, PbPassthroughOp.fromPartial({ id: "p", outputs }));
  const inputs = [refOf("ab"), refOf("c")];
  assert.deepEqual(await op.exec(inputs), [refOf("c"), refOf(""), refOf("ab"), refOf("c")]);
  await assert.rejects(op.exec([refOf("ab")]), /passthrough input 1 is not there/);
});
