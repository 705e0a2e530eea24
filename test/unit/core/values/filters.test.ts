import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { matchesWorkerFilters } from "../../../../src/coordinator/fleet/worker-filter.ts";
import { BuildError } from "../../../../src/core/errors/build-error.ts";
import { Code } from "../../../../src/core/errors/code.ts";
import type { UsageRecord } from "../../../../src/core/values/agent.ts";
import { checkUsageFilters, usageFilter } from "../../../../src/core/values/usage-filter.ts";

describe("filters", () => {
  const record: UsageRecord = {
    id: "abc",
    agentId: "one",
    mutable: true,
    inUse: false,
    sizeBytes: 1,
    createdAt: 0,
    lastUsedAt: 0,
    usageCount: 1,
    description: "cached mount /root/.cache",
    recordType: "exec.cachemount",
    shared: false,
    parents: [],
  };
  const worker = { id: "w1", labels: { "org.example.zone": "a" } };

  for (const [filters, matches] of [
    [[], true],
    [["type==exec.cachemount"], true],
    [["type==regular"], false],
    [["type==regular", "id==abc"], true],
    [["type==exec.cachemount,id!=abc"], false],
    [["description~=^cached"], true],
    [["mutable"], true],
    [["immutable"], false],
    [["inuse"], false],
    [["private"], true],
    [["shared"], false],
    [["parents"], false],
    [["description"], true],
    [["inuse==true"], false],
    [["id~=/^a.c$/"], true],
    [["id~=["], false],
    [['id=="\\x61bc"'], true],
    [["missing~=^$"], true],
    [["id!=x"], true],
    [["agent==one"], true],
  ] as const) {
    it(`${matches ? "find" : "leave"} a record by ${JSON.stringify(filters)}`, () => {
      assert.equal(usageFilter(filters)(record), matches);
    });
  }

  for (const [filter, matches] of [
    ["id==w1", true],
    ["id==w2", false],
    ['labels."org.example.zone"==a', true],
    ['labels."org.example.zone"~=b', false],
    ['labels."org.example.zone"', true],
    ['labels."other"', false],
  ] as const) {
    it(`${matches ? "find" : "leave"} a worker by ${filter}`, () => {
      assert.equal(matchesWorkerFilters([filter], worker), matches);
    });
  }

  // The texts are those of containerd's parser.
  for (const [filter, message] of [
    ["type==", "[type==]: expected value or quoted"],
    ["==x", "[ >|=|< =x]: expected field or quoted"],
    ["type=x", '[type >|=|< x]: unsupported operator "="'],
    ["type==a,", "[type==a,]: expected field or quoted"],
    ['"', '[ >|"|< ]: quoted literal not terminated'],
    ["a b", '[a  >|b|< ]: expected an operator ("=="|"!="|"~=")'],
    ["type==a b", "[type==a >| |< b]: unexpected input:  "],
    ["type==|a|", "[type== >|||< a|]: invalid quote encountered"],
  ] as const) {
    it(`refuse ${filter}`, () => {
      const text = `failed to parse prune filters [${filter}]: filters: parse error: ${message}: invalid argument`;
      assert.throws(
        () => checkUsageFilters([filter], "prune"),
        (error) => error instanceof BuildError && error.code === Code.Unknown && error.message === text,
      );
    });
  }
});
