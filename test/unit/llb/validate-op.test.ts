import assert from "node:assert/strict";
import { test } from "node:test";
import { Op } from "../../../src/api/gen/ops.ts";
import { validateOp } from "../../../src/llb/definition/validate-op.ts";

function exec(change: object): Op {
  const value = { meta: { args: ["true"] }, mounts: [{ dest: "/" }], ...change };
  return Op.decode(Op.encode(Op.fromPartial({ op: { $case: "exec", value } } as never)).finish());
}

test("validateOp() leaves modes to the agent that runs the step", () => {
  for (const security of [0, 1, 2]) validateOp(exec({ security }));
});

test("validateOp() refuses steps without a root", () => {
  assert.throws(() => validateOp(exec({ mounts: [] })), { message: "invalid exec op with no mounts" });
  assert.throws(() => validateOp(exec({ mounts: [{ dest: "/m" }] })), { message: "invalid exec op with no rootfs" });
});
