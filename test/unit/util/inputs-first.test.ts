import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { inputsFirst } from "../../../src/util/inputs-first.ts";

test("every node that is reached comes once, after its inputs", () => {
  fc.assert(
    fc.property(fc.array(fc.array(fc.nat()), { minLength: 1 }), (graph) => {
      // Inputs have smaller numbers.
      const inputsOf = (node: number) => (node === 0 ? [] : (graph[node] ?? []).map((input) => input % node));
      const order = [...inputsFirst(graph.length - 1, inputsOf)];
      assert.equal(new Set(order).size, order.length);
      assert.equal(order.at(-1), graph.length - 1);
      for (const [place, node] of order.entries()) {
        for (const input of inputsOf(node)) assert.ok(order.indexOf(input) >= 0 && order.indexOf(input) < place);
      }
    }),
  );
});

test("chains may be long", () => {
  const length = 200_000;
  const order = [...inputsFirst(length, (node) => (node === 0 ? [] : [node - 1]))];
  assert.equal(order.length, length + 1);
  assert.equal(order[0], 0);
});
