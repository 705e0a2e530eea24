import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { diskSpaceBytes, parseByteSize, parseDiskSpace, parseDurationMs } from "../../../src/config/quantities.ts";

describe("parseByteSize()", () => {
  for (const [text, bytes] of [
    ["512", 512],
    ["1k", 1024],
    ["10GB", 10 * 2 ** 30],
    ["1.5 GiB", 1.5 * 2 ** 30],
    ["2tb", 2 * 2 ** 40],
    ["7b", 7],
  ] as const) {
    it(`reads ${text}`, () => assert.equal(parseByteSize(text), bytes));
  }
  for (const text of ["", "GB", "-1", "1e3", "10 XB", "1..5k"]) {
    it(`refuses ${JSON.stringify(text)}`, () => assert.equal(parseByteSize(text), undefined));
  }
});

describe("parseDiskSpace()", () => {
  it("takes shares of the disk", () => {
    assert.deepEqual(parseDiskSpace("20%"), { percent: 20 });
    assert.equal(parseDiskSpace("20.5%"), undefined);
  });

  it("rounds a share up to whole gigabytes", () => {
    assert.equal(diskSpaceBytes({ percent: 10 }, 100 * 2 ** 30), 11e9);
    assert.equal(diskSpaceBytes({ percent: 0 }, 100 * 2 ** 30), 0);
    assert.equal(diskSpaceBytes({ bytes: 5 }, 100), 5);
  });
});

describe("parseDurationMs()", () => {
  for (const [text, ms] of [
    ["48h", 172_800_000],
    ["1h30m", 5_400_000],
    ["1.5s", 1500],
    ["250ms", 250],
    ["7d", 604_800_000],
    ["90", 90_000],
  ] as const) {
    it(`reads ${text}`, () => assert.equal(parseDurationMs(text), ms));
  }
  for (const text of ["", "h", "1x", "1h 30m", "-5s"]) {
    it(`refuses ${JSON.stringify(text)}`, () => assert.equal(parseDurationMs(text), undefined));
  }
});
