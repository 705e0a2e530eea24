import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";

describe("BuildError.from()", () => {
  for (const [errno, code] of [
    ["ENOSPC", Code.ResourceExhausted],
    ["ENOMEM", Code.ResourceExhausted],
    ["EIO", Code.Internal],
    ["EROFS", Code.Internal],
    ["ENOENT", Code.Unknown],
  ] as const) {
    it(`gives ${errno} the code that BuildKit gives it`, () => {
      const error = BuildError.from(Object.assign(new Error(`${errno}: words`), { code: errno }));
      assert.deepEqual([error.code, error.message], [code, `${errno}: words`]);
    });
  }

  it("leaves a BuildError's own code, also below added context", () => {
    const error = new BuildError(Code.NotFound, "no such thing");
    assert.equal(BuildError.from(error), error);
    const wrapped = error.wrap("looking for it");
    assert.deepEqual([wrapped.code, wrapped.message], [Code.NotFound, "looking for it: no such thing"]);
  });
});
