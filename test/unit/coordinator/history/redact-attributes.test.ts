import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { redactAttributes } from "../../../../src/coordinator/history/redact-attributes.ts";

const cases: readonly (readonly [string, string])[] = [
  ["https://user:token@example.org/app.git#main", "https://xxxxx@example.org/app.git#main"],
  ["https://token@example.org/app.git", "https://xxxxx@example.org/app.git"],
  ["ssh://git:secret@example.org/app.git", "ssh://xxxxx@example.org/app.git"],
  ["ssh://git@example.org/app.git", "ssh://git@example.org/app.git"],
  ["https://example.org/a@b", "https://example.org/a@b"],
  ["docker-image://example.org/a@sha256:0", "docker-image://example.org/a@sha256:0"],
  ["app@1:2", "app@1:2"],
];

describe("redactAttributes", () => {
  for (const [value, expected] of cases) {
    it(value, () =>
      assert.deepEqual(redactAttributes({ context: value, other: "x" }), { context: expected, other: "x" }),
    );
  }
});
