import assert from "node:assert/strict";
import { test } from "node:test";
import { upwardRanks } from "../../../../src/coordinator/scheduling/upward-rank.ts";

test("the rank of a vertex is the longest way from its start to a sink", () => {
  const ranks = upwardRanks([
    { id: "base", inputs: [], expectedSeconds: 2 },
    { id: "short", inputs: ["base"], expectedSeconds: 1 },
    { id: "long", inputs: ["base", "not listed"], expectedSeconds: 10 },
    { id: "end", inputs: ["short", "long", "base"], expectedSeconds: 3 },
    { id: "alone", inputs: [], expectedSeconds: 4 },
  ]);
  assert.deepEqual(Object.fromEntries(ranks), { base: 15, short: 4, long: 13, end: 3, alone: 4 });
});
