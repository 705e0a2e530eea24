import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { LinuxResources } from "../../../src/api/gen/ops.ts";
import { mergedVertex, relaxedResources } from "../../../src/llb/definition/index.ts";

const unset: LinuxResources = {
  ...{ memory: 0, memorySwap: 0, cpuShares: 0, cpuPeriod: 0, cpuQuota: 0, cpusetCpus: "", cpusetMems: "" },
};
const limits = (more: Partial<LinuxResources>): LinuxResources => ({ ...unset, ...more });

describe("resource limits of a vertex that several builds want", () => {
  for (const [what, a, b, expected] of [
    ["more memory", { memory: 64 }, { memory: 128 }, { memory: 128 }],
    ["memory without end", { memory: 64 }, {}, {}],
    ["the swap that is set", { memorySwap: 64 }, {}, { memorySwap: 64 }],
    ["swap without end", { memorySwap: 64 }, { memorySwap: -1 }, { memorySwap: -1 }],
    ["more swap", { memorySwap: 64 }, { memorySwap: 65 }, { memorySwap: 65 }],
    ["more shares", { cpuShares: 256 }, { cpuShares: 512 }, { cpuShares: 512 }],
    ["the shares that are set", { cpuShares: 2 }, {}, { cpuShares: 2 }],
    ["more of the same period", { cpuPeriod: 100, cpuQuota: 50 }, { cpuPeriod: 100, cpuQuota: 80 }, "second"],
    ["the larger part of a period", { cpuPeriod: 100, cpuQuota: 80 }, { cpuPeriod: 200, cpuQuota: 100 }, "first"],
    ["the shorter of equal parts", { cpuPeriod: 200, cpuQuota: 100 }, { cpuPeriod: 100, cpuQuota: 50 }, "second"],
    ["no quota", { cpuPeriod: 100, cpuQuota: 50 }, { cpuPeriod: 200 }, "second"],
    ["the larger quota where a period is not known", { cpuQuota: 50 }, { cpuPeriod: 1, cpuQuota: 40 }, "first"],
    ["the known period of equal quotas", { cpuQuota: 50 }, { cpuPeriod: 1, cpuQuota: 50 }, "second"],
    ["no period without a quota", { cpuPeriod: 100 }, { cpuPeriod: 200 }, {}],
    ["all processors", { cpusetCpus: "0-3" }, {}, {}],
    ["processors of both", { cpusetCpus: "0-1,7" }, { cpusetCpus: " 2, 5-6" }, { cpusetCpus: "0-2,5-7" }],
    ["the processors that can be read", { cpusetCpus: "x" }, { cpusetCpus: "3" }, { cpusetCpus: "3" }],
    ["no set without end", { cpusetMems: "0-999999999" }, { cpusetMems: "1" }, { cpusetMems: "1" }],
  ] as const) {
    it(`give it ${what}`, () => {
      const chosen = expected === "first" ? a : expected === "second" ? b : expected;
      assert.deepEqual(relaxedResources(limits(a), limits(b)), limits(chosen));
    });
  }

  it("are those of the one that has some", () => {
    const some = limits({ memory: 1 });
    assert.equal(relaxedResources(undefined, some), some);
    assert.equal(relaxedResources(some, undefined), some);
    assert.equal(relaxedResources(undefined, undefined), undefined);
  });

  it("change nothing else of the vertex", () => {
    const vertex = (linuxResources?: LinuxResources) =>
      ({ name: "v", payload: { bytes: 1, ...(linuxResources && { linuxResources }) } }) as never;
    assert.deepEqual(mergedVertex(vertex(limits({ memory: 1 })), vertex(limits({ memory: 2 }))), {
      name: "v",
      payload: { bytes: 1, linuxResources: limits({ memory: 2 }) },
    });
    const plain = vertex();
    assert.equal(mergedVertex(plain, vertex()), plain);
  });
});
