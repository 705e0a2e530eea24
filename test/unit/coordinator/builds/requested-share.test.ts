import assert from "node:assert/strict";
import { test } from "node:test";
import { requestedShare } from "../../../../src/coordinator/builds/requested-share.ts";

test("a build that asks for nothing is one among equals", () => {
  assert.deepEqual(requestedShare("ref", {}), { build: "ref", tenant: "", priority: 0, weight: 1 });
});

test("options of the frontend, or build arguments of clients that have no others", () => {
  const expected = { build: "ref", tenant: "web", priority: -200, weight: 0.5, parallelism: 3, pool: "large" };
  const options = { tenant: "web", priority: "-200", weight: "0.5", parallelism: "3", pool: "large" };
  const named = (prefix: string, change: (name: string) => string) =>
    Object.fromEntries(Object.entries(options).map(([name, value]) => [prefix + change(name), value]));
  assert.deepEqual(
    requestedShare(
      "ref",
      named("buildfleet.", (name) => name),
    ),
    expected,
  );
  assert.deepEqual(
    requestedShare(
      "ref",
      named("build-arg:BUILDFLEET_", (name) => name.toUpperCase()),
    ),
    expected,
  );
});

for (const [name, value] of [
  ["priority", "high"],
  ["priority", "1.5"],
  ["priority", "100000"],
  ["weight", "0"],
  ["weight", "NaN"],
  ["weight", ""],
  ["parallelism", "-1"],
  ["tenant", "x".repeat(129)],
  ["pool", "a,b"],
  ["pool", ""],
] as const) {
  test(`${name} ${value.slice(0, 10)} is refused`, () => {
    assert.throws(
      () => requestedShare("ref", { [`buildfleet.${name}`]: value }),
      new RegExp(`invalid buildfleet.${name}`),
    );
  });
}
