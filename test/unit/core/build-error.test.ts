import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";

describe("BuildError.from()", () => {
  it("tells what went wrong before cleaning up failed as well", async () => {
    const full = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
    const failing = async () => {
      await using _resource = {
        [Symbol.asyncDispose]: async () => {
          throw new Error("cannot close either");
        },
      };
      throw full;
    };
    const error = BuildError.from(await failing().catch((thrown: unknown) => thrown));
    assert.equal(error.code, Code.ResourceExhausted);
    assert.equal(error.message, full.message);
  });
});
