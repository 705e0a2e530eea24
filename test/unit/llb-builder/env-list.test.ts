import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { EnvList } from "../../../src/llb/builder/index.ts";

const key = fc.constantFrom("A", "B", "C", "D");
/** From which of the lists so far the next one is made, and how. */
const step = fc.record({ from: fc.nat(), key, value: fc.option(fc.constantFrom("", "x", "y"), { nil: undefined }) });

describe("EnvList", () => {
  it("is what a map would be whose keys go to the end when set again, whichever list another is made of", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const lists = [{ list: EnvList.empty, model: [] as readonly (readonly [string, string])[] }];
        for (const { from, key, value } of steps) {
          const source = lists[from % lists.length] ?? assert.fail();
          const others = source.model.filter(([name]) => name !== key);
          lists.push(
            value === undefined
              ? { list: source.list.delete(key), model: others }
              : { list: source.list.set(key, value), model: [...others, [key, value]] },
          );
        }
        for (const { list, model } of lists) {
          assert.deepEqual(
            list.toArray(),
            model.map(([name, value]) => `${name}=${value}`),
          );
          assert.deepEqual(
            list.keys(),
            model.map(([name]) => name),
          );
          for (const name of ["A", "B", "C", "D"]) {
            assert.equal(list.get(name), model.find(([known]) => known === name)?.[1]);
          }
        }
      }),
    );
  });

  it("keeps what it has for a default", () => {
    const list = EnvList.empty.setAll([
      ["A", "1"],
      ["B", "2"],
      ["A", "3"],
    ]);
    assert.deepEqual(list.setDefault("A", "x").setDefault("C", "4").toArray(), ["B=2", "A=3", "C=4"]);
  });
});
