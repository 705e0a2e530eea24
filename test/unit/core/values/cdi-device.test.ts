import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { bestDevices, type CdiDevice, findDevices } from "../../../../src/core/values/cdi-device.ts";

const device = (name: string, kind?: string): CdiDevice => ({
  name,
  autoAllow: false,
  annotations: kind === undefined ? {} : { "org.mobyproject.buildkit.device.class": kind },
});
const want = (name: string, optional = false) => ({ name, optional });

describe("findDevices()", () => {
  const devices = [
    device("a.com/gpu=0", "fast"),
    device("a.com/gpu=1"),
    device("a.com/gpu2=0"),
    device("b.com/nic=x", "fast"),
  ];

  it("finds by name, kind, wildcard and class, each once", () => {
    assert.deepEqual(findDevices([want("a.com/gpu=1")], devices), ["a.com/gpu=1"]);
    assert.deepEqual(findDevices([want("a.com/gpu")], devices), ["a.com/gpu=0"]);
    assert.deepEqual(findDevices([want("a.com/gpu=*")], devices), ["a.com/gpu=0", "a.com/gpu=1"]);
    assert.deepEqual(findDevices([want("fast"), want("a.com/gpu=*")], devices), [
      "a.com/gpu=0",
      "b.com/nic=x",
      "a.com/gpu=1",
    ]);
  });

  it("does without optional ones only", () => {
    assert.deepEqual(findDevices([want("c.com/d=1", true), want("slow", true)], devices), []);
    for (const name of ["c.com/d=1", "a.com/gpu=2", "slow", "", "/gpu=0"]) {
      assert.throws(() => findDevices([want(name)], devices), {
        message: `required device ${JSON.stringify(name)} is not registered`,
      });
    }
  });
});

describe("bestDevices()", () => {
  it("takes the agent that serves most of the requests, the first of several", () => {
    const [none, one, both, more] = [
      [],
      [device("a.com/gpu=0")],
      [device("a.com/gpu=0"), device("b.com/nic=x")],
      [device("a.com/gpu=0"), device("a.com/gpu=1"), device("b.com/nic=x")],
    ];
    const requests = [want("a.com/gpu"), want("b.com/nic", true)];
    assert.equal(bestDevices(requests, [none, one, both, more]), both);
    assert.equal(bestDevices(requests, [none, one]), one);
    assert.deepEqual(bestDevices(requests, []), []);
  });
});
