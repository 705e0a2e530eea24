import assert from "node:assert/strict";
import { test } from "node:test";
import { FleetBuildService } from "../../../../src/coordinator/builds/fleet-build-service.ts";
import type { SolveParams } from "../../../../src/coordinator/front-door/index.ts";
import { Code } from "../../../../src/core/errors/code.ts";
import { silentLogger } from "../../../../src/core/seams/logger.ts";

test("FleetBuildService refuses a build whose source policy it would not apply", async () => {
  const options = { logger: silentLogger, entitlements: new Set<string>() };
  const service = new FleetBuildService(options as unknown as ConstructorParameters<typeof FleetBuildService>[0]);
  const params = { ref: "r", entitlements: [], proxyNetwork: false, sourcePolicySession: "s" };
  await assert.rejects(service.start(params as unknown as SolveParams, new AbortController().signal), {
    code: Code.Unimplemented,
    message: "source policies are not supported yet",
  });
});
