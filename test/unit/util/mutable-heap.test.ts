import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MutableHeap } from "../../../src/util/mutable-heap.ts";

test("the least comes first, whatever was put, changed and deleted", () => {
  const change = fc.record({ item: fc.nat({ max: 20 }), key: fc.nat({ max: 9 }), gone: fc.boolean() });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 200 }), (changes) => {
      const items = Array.from({ length: 21 }, (_, id) => ({ id, key: 0 }));
      type Item = (typeof items)[number];
      const first = (a: Item, b: Item) => a.key < b.key || (a.key === b.key && a.id < b.id);
      const heap = new MutableHeap<Item>(first);
      const kept = new Set<Item>();
      for (const { item: id, key, gone } of changes) {
        const item = items[id] as Item;
        if (gone) {
          heap.delete(item);
          kept.delete(item);
        } else {
          item.key = key;
          heap.put(item);
          kept.add(item);
        }
        assert.equal(heap.size, kept.size);
        assert.equal(heap.peek(), [...kept].sort((a, b) => (first(a, b) ? -1 : 1))[0]);
      }
    }),
  );
});
