import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatTraceparent, parseTraceparent } from "../../../src/telemetry/traceparent.ts";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const spanId = "b7ad6b7169203331";

describe("parseTraceparent", () => {
  it("reads ids and flags", () => {
    assert.deepEqual(parseTraceparent(`00-${traceId}-${spanId}-01`), {
      traceId,
      spanId,
      traceFlags: 1,
      isRemote: true,
    });
  });

  it("takes later versions with more fields", () => {
    assert.equal(parseTraceparent(`01-${traceId}-${spanId}-00-more`)?.spanId, spanId);
  });

  for (const [why, text] of [
    ["nothing", undefined],
    ["an empty value", ""],
    ["version ff", `ff-${traceId}-${spanId}-01`],
    ["more fields in version 0", `00-${traceId}-${spanId}-01-more`],
    ["upper case", `00-${traceId.toUpperCase()}-${spanId}-01`],
    ["a zero trace id", `00-${"0".repeat(32)}-${spanId}-01`],
    ["a zero span id", `00-${traceId}-${"0".repeat(16)}-01`],
    ["a short id", `00-${traceId.slice(1)}-${spanId}-01`],
  ] as const) {
    it(`refuses ${why}`, () => assert.equal(parseTraceparent(text), undefined));
  }

  it("gives back what formatTraceparent wrote", () => {
    for (const flags of ["00", "01"]) {
      const text = `00-${traceId}-${spanId}-${flags}`;
      const context = parseTraceparent(text);
      assert.ok(context);
      assert.equal(formatTraceparent(context), text);
    }
  });
});
