import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Definition } from "../../../src/api/gen/ops.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { withSource } from "../../../src/core/errors/source-error.ts";
import { lineRanges, withLocation } from "../../../src/frontend/dockerfile/dockerfile-error.ts";

describe("withSource", () => {
  it("attaches the file and its lines, and keeps message and code", () => {
    const inner = withLocation(new BuildError(Code.InvalidArgument, "bad"), lineRanges(2, 3)).wrap("context");
    const error = withSource(
      inner,
      { filename: "Dockerfile", language: "Dockerfile", data: Buffer.from("FROM a\n") },
      inner.ranges,
    );
    assert.equal(error.message, "context: bad");
    assert.equal(error.code, Code.InvalidArgument);
    const [detail] = error.details;
    assert.equal(detail?.typeUrl, "github.com/moby/buildkit/errdefs.Source+json");
    assert.deepEqual(JSON.parse(Buffer.from(detail?.value ?? []).toString()), {
      info: { filename: "Dockerfile", data: "RlJPTSBhCg==", language: "Dockerfile" },
      ranges: [
        { start: { line: 2 }, end: { line: 2 } },
        { start: { line: 3 }, end: { line: 3 } },
      ],
    });
  });

  it("says which definition the file came from", () => {
    const op = Buffer.from("op");
    const definition = Definition.fromPartial({
      def: [op],
      metadata: { "sha256:a": { ignoreCache: true, description: { "llb.customname": "n" }, caps: { file: true } } },
    });
    const source = { filename: "f", language: "", data: Buffer.alloc(0), definition };
    const [detail] = withSource(new Error("x"), source, []).details;
    assert.deepEqual(JSON.parse(Buffer.from(detail?.value ?? []).toString()), {
      info: {
        filename: "f",
        definition: {
          def: ["b3A="],
          metadata: {
            "sha256:a": { ignore_cache: true, description: { "llb.customname": "n" }, caps: { file: true } },
          },
        },
      },
    });
  });
});
