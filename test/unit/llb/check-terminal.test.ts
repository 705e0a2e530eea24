import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Definition, Op } from "../../../src/api/gen/ops.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { checkTerminal } from "../../../src/llb/definition/index.ts";

function definitionOf(last: Op): Definition {
  return Definition.fromPartial({ def: [Op.encode(last).finish()] });
}

const input = { digest: `sha256:${"a".repeat(64)}`, index: 0 };

describe("checkTerminal", () => {
  it("takes a pointer to one output, and nothing at all", () => {
    checkTerminal(definitionOf(Op.fromPartial({ inputs: [input] })));
    checkTerminal(Definition.fromPartial({}));
  });

  it("refuses anything else", () => {
    assert.throws(() => checkTerminal(definitionOf(Op.fromPartial({ inputs: [input, input] }))), {
      code: Code.Internal,
      message: "invalid last vertex inputs: 2",
    });
    const op = { $case: "exec" as const, value: {} };
    assert.throws(() => checkTerminal(definitionOf(Op.fromPartial({ inputs: [input], op }))), {
      code: Code.Internal,
      message: "invalid last vertex: *pb.Op_Exec",
    });
  });
});
