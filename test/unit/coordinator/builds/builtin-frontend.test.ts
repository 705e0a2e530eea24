import assert from "node:assert/strict";
import { test } from "node:test";
import { withBuiltinFrontend } from "../../../../src/coordinator/builds/builtin-frontend.ts";

test("withBuiltinFrontend() stands in for a frontend image named dockerfile.v0", () => {
  const asked = { frontend: "gateway.v0", options: { source: "dockerfile.v0", target: "t" } };
  const answer = withBuiltinFrontend(asked);
  assert.equal(answer.frontend, "dockerfile.v0");
  assert.equal(answer.options["target"], "t");
});

test("withBuiltinFrontend() leaves images, contexts of that name and other frontends alone", () => {
  for (const asked of [
    { frontend: "gateway.v0", options: { source: "docker/dockerfile:1" } },
    { frontend: "gateway.v0", options: { source: "dockerfile.v0", "context:dockerfile.v0": "docker-image://x" } },
    {
      frontend: "gateway.v0",
      options: { source: "dockerfile.v0", "context:dockerfile.v0::linux/amd64": "docker-image://x" },
    },
    { frontend: "dockerfile.v0", options: { target: "t" } },
  ]) {
    assert.deepEqual(withBuiltinFrontend(asked), asked);
  }
});
