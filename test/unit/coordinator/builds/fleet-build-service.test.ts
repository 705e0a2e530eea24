import assert from "node:assert/strict";
import { test } from "node:test";
import { FleetBuildService } from "../../../../src/coordinator/builds/fleet-build-service.ts";
import type { SolveParams } from "../../../../src/coordinator/front-door/index.ts";
import { silentLogger } from "../../../../src/core/seams/logger.ts";
import { deny, policy } from "../../source-policy/rules.ts";

test("FleetBuildService refuses what it cannot do before it starts anything", async () => {
  const options = { logger: silentLogger, entitlements: new Set<string>() };
  const service = new FleetBuildService(options as unknown as ConstructorParameters<typeof FleetBuildService>[0]);
  const start = (more: Partial<SolveParams>) => {
    const params = { ref: "r", entitlements: [], proxyNetwork: false, sourcePolicySession: "", ...more };
    return service.start(params as unknown as SolveParams, new AbortController().signal);
  };
  await assert.rejects(start({ sourcePolicy: policy({ ...deny("*"), selector: undefined }) }), {
    message: "invalid nil selector in policy",
  });
  await assert.rejects(start({ proxyNetwork: true }), { message: "proxy network is not supported" });
  await assert.rejects(start({ entitlements: ["network.host"] }), {
    message: "granting entitlement network.host is not allowed by build daemon configuration",
  });
});
