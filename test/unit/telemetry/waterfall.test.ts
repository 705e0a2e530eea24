import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { SpanRecord } from "../../../src/telemetry/index.ts";
import { renderWaterfall } from "../../../src/telemetry/index.ts";

function span(name: string, parentSpanId: string, fromMs: number, toMs: number, more: Partial<SpanRecord> = {}) {
  const base = 1_700_000_000_000_000_000n;
  return {
    traceId: "1".repeat(32),
    spanId: name,
    parentSpanId,
    name,
    kind: "internal" as const,
    events: [],
    startNanos: base + BigInt(fromMs) * 1_000_000n,
    endNanos: base + BigInt(toMs) * 1_000_000n,
    attributes: {},
    service: "",
    ...more,
  };
}

describe("renderWaterfall", () => {
  const spans = [
    span("second", "build", 500, 2000),
    span("build", "elsewhere", 0, 2000),
    span("first", "build", 0, 500, { attributes: { "agent.id": "a1" } }),
    span("exec", "first", 100, 400, { error: "exit code: 1" }),
  ];

  it("shows children under parents, in the order of their beginning", () => {
    const lines = renderWaterfall(spans, 80).trimEnd().split("\n");
    assert.deepEqual(
      lines.map((line) => line.slice(0, 16).trimEnd()),
      ["build", "  first", "    exec", "  second"],
    );
  });

  it("shows start, length and agent; a child runs where its parent does", () => {
    const [build = "", first = "", exec = "", second = ""] = renderWaterfall(spans, 80).split("\n");
    assert.match(build, /^build +\+0\.0ms █+ +2\.00s$/);
    assert.match(first, / a1 +\+0\.0ms █+ +500\.0ms$/);
    assert.match(exec, / a1 +\+100\.0ms +▒+ +300\.0ms$/);
    assert.match(second, / +\+500\.0ms +█+ +1\.50s$/);
    assert.ok(second.indexOf("█") > first.lastIndexOf("█"));
  });

  it("keeps to the width and to one line each", () => {
    const odd = [span("RUN <<EOF\necho one\nEOF", "", 0, 1), span("x".repeat(300), "", 0, 1)];
    for (const width of [60, 100, 200]) {
      const lines = renderWaterfall([...spans, ...odd], width)
        .trimEnd()
        .split("\n");
      assert.equal(lines.length, 6);
      for (const line of lines) assert.ok(line.length <= width, `${line.length} > ${width}`);
    }
  });

  it("is empty without spans", () => assert.equal(renderWaterfall([], 80), ""));
});
