import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";

const root = join(import.meta.dirname, "../../..");

/** Ids of what BuildKit does: a letter for the area, then numbers and ranges of them. */
const areas: Readonly<Record<string, string>> = {
  a: "1-21",
  b: "1-14",
  c: "1-19",
  d: "1-30",
  e: "1-28",
  f: "1-14 20-22 24-28 31",
  g: "1-12",
  h: "1-8 10-13 20-28 36 40-45",
  i: "1-8",
  j: "1-13",
  k: "1-8",
};
const ids = Object.entries(areas).flatMap(([area, ranges]) =>
  ranges.split(" ").flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => `${area}${first + index}`);
  }),
);

interface Row {
  readonly id: string;
  readonly state: string;
  readonly tests: readonly string[];
  readonly cells: number;
}

const text = readFileSync(join(root, "docs/compatibility.md"), "utf8");
const rows = text.split("\n").flatMap((line): Row[] => {
  const cells = line
    .split("|")
    .slice(1, -1)
    .map((cell) => cell.trim());
  const id = /^[a-k]\d+$/.exec(cells[0] ?? "")?.[0];
  if (id === undefined) return [];
  const tests = [...(cells[3] ?? "").matchAll(/`([^`]+)`/g)].map(([, path = ""]) => path);
  return [{ id, state: cells[2] ?? "", tests, cells: cells.length }];
});

describe("docs/compatibility.md", () => {
  it("has one row for each item", () => {
    assert.equal(ids.length, 204);
    assert.deepEqual(rows.map(({ id }) => id).sort(), [...ids].sort());
    for (const { id, cells } of rows) assert.equal(cells, 5, `cells of ${id}`);
  });

  it("says of each item whether it works", () => {
    for (const { id, state } of rows) assert.ok(["works", "partly", "not yet"].includes(state), `${id}: ${state}`);
    const count = (state: string) => rows.filter((row) => row.state === state).length;
    assert.match(
      text,
      new RegExp(`^${count("works")} work, ${count("partly")} work partly, ${count("not yet")} do not`, "m"),
    );
  });

  it("names tests that exist, and at least one for what works", () => {
    for (const { id, state, tests } of rows) {
      if (state === "works") assert.notEqual(tests.length, 0, `${id} has no test`);
      for (const path of tests) {
        const found = [".test.ts", ".ts"].some((ending) => existsSync(join(root, "test", `${path}${ending}`)));
        assert.ok(found, `${id}: no test/${path}`);
      }
    }
  });
});
