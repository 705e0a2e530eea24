import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Source } from "../../../src/api/gen/errdefs.ts";
import { sourceExcerpts } from "../../../src/client/index.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";

const data = Buffer.from("FROM a\nRUN b\nRUN c \\\n  d\nCOPY e\nCOPY f");

function detail(first: number, last: number) {
  const value = {
    info: { filename: "Dockerfile", data: data.toString("base64") },
    ranges: [{ start: { line: first }, end: { line: last } }],
  };
  return { typeUrl: "github.com/moby/buildkit/errdefs.Source+json", value: Buffer.from(JSON.stringify(value)) };
}

function excerpts(...details: readonly { typeUrl: string; value: Uint8Array }[]): readonly string[] {
  return sourceExcerpts(new BuildError(Code.Unknown, "x", { details }));
}

describe("sourceExcerpts()", () => {
  it("marks the lines of the error", () => {
    assert.deepEqual(excerpts(detail(3, 4)), [
      "Dockerfile:3\n--------------------\n   2 |     RUN b\n   3 | >>> RUN c \\\n   4 | >>>   d\n   5 |     COPY e\n--------------------\n",
    ]);
  });

  it("shows more around a single line, and no more than there is", () => {
    assert.match(
      excerpts(detail(1, 1))[0] ?? "",
      /\n {3}1 \| >>> FROM a\n {3}2 \| {5}RUN b\n {3}3 \| {5}RUN c \\\n---/,
    );
    assert.match(excerpts(detail(6, 0))[0] ?? "", /\n {3}6 \| >>> COPY f\n---/);
  });

  it("reads details in protobuf as well", () => {
    const message = Source.fromPartial({
      info: { filename: "f", data },
      ranges: [{ start: { line: 2, character: 0 }, end: { line: 2, character: 0 } }],
    });
    const [text] = excerpts({
      typeUrl: "github.com/moby/buildkit/errdefs.Source",
      value: Source.encode(message).finish(),
    });
    assert.match(text ?? "", />>> RUN b/);
  });

  it("ignores what it cannot read or place", () => {
    const broken = { typeUrl: "github.com/moby/buildkit/errdefs.Source+json", value: Buffer.from("{") };
    assert.deepEqual(excerpts(broken, detail(99, 99), { typeUrl: "other", value: data }), []);
  });
});
