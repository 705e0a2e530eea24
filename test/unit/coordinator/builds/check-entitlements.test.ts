import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NetMode, Op } from "../../../../src/api/gen/ops.ts";
import { checkEntitlements } from "../../../../src/coordinator/builds/check-entitlements.ts";
import type { CdiDevice } from "../../../../src/core/values/cdi-device.ts";

const agents: readonly (readonly CdiDevice[])[] = [
  [],
  [
    { name: "v.com/d=free", autoAllow: true, annotations: {} },
    { name: "v.com/d=one", autoAllow: false, annotations: {} },
    { name: "v.com/d=two", autoAllow: false, annotations: {} },
  ],
];

/** Names the op asks for afterwards. */
function check(granted: readonly string[], ...names: readonly string[]): string[] {
  const value = { cdiDevices: names.map((name) => ({ name: name.replace("?", ""), optional: name.endsWith("?") })) };
  const op = Op.fromPartial({ op: { $case: "exec", value } });
  checkEntitlements(op, new Set(granted), () => agents);
  return op.op?.$case === "exec" ? op.op.value.cdiDevices.map(({ name }) => name) : [];
}

describe("checkEntitlements()", () => {
  it("lets an op have devices for all, those granted, and those that stand for others", () => {
    assert.deepEqual(check([], "v.com/d=free"), ["v.com/d=free"]);
    assert.deepEqual(check(["device=v.com/d=one"], "v.com/d=one"), ["v.com/d=one"]);
    assert.deepEqual(check(["device=v.com/d=*"], "v.com/d=*"), ["v.com/d=free", "v.com/d=one", "v.com/d=two"]);
    assert.deepEqual(check(["device=v.com/d=two,alias=gpu"], "gpu", "v.com/d=free"), ["v.com/d=two", "v.com/d=free"]);
    assert.deepEqual(check([], "v.com/none?"), []);
  });

  it("leaves everything as it is where all devices are granted", () => {
    assert.deepEqual(check(["device"], "v.com/d=*", "v.com/none"), ["v.com/d=*", "v.com/none"]);
    assert.deepEqual(check(["device=v.com/d=one", "device"], "v.com/d=two"), ["v.com/d=two"]);
  });

  it("refuses the rest in BuildKit's words", () => {
    const refuses = (granted: readonly string[], name: string, message: string) =>
      assert.throws(() => check(granted, name), { message });
    refuses([], "v.com/d=one", "device v.com/d=one is requested by the build but not allowed");
    refuses([], "v.com/d=*", "devices v.com/d=one, v.com/d=two are requested by the build but not allowed");
    refuses([], "v.com/none", 'required device "v.com/none" is not registered');
    refuses(["device=v.com/none"], "v.com/d=one", 'required device "v.com/none" is not registered');
    refuses(["device=a,b"], "v.com/d=one", 'invalid device config "b"');
    refuses(["device=a,b=c"], "v.com/d=one", 'unknown device config key "b"');
  });

  it("refuses the machine's network", () => {
    const op = Op.fromPartial({ op: { $case: "exec", value: { network: NetMode.HOST } } });
    assert.throws(() => checkEntitlements(op, new Set(), () => []), { message: "network.host is not allowed" });
    checkEntitlements(op, new Set(["network.host"]), () => []);
  });
});
