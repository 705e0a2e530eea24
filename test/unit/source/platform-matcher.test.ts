import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { OciPlatform } from "../../../src/core/values/descriptor.ts";
import { normalizePlatform } from "../../../src/core/values/platform.ts";
import { PlatformMatcher } from "../../../src/source/index.ts";

function matcher(text: string): PlatformMatcher {
  const [os, architecture, variant = ""] = text.split("/");
  return new PlatformMatcher(normalizePlatform({ os: os ?? "", architecture: architecture ?? "", variant }));
}

function entry(text: string, more: object = {}) {
  const [os = "", architecture = "", variant] = text.split("/");
  return { name: text, platform: { os, architecture, ...(variant === undefined ? {} : { variant }), ...more } };
}

describe("PlatformMatcher", () => {
  for (const [wanted, offered, best] of [
    ["linux/amd64", ["linux/386", "linux/amd64"], "linux/amd64"],
    ["linux/amd64", ["linux/386", "linux/arm64"], "linux/386"],
    ["linux/amd64", ["linux/amd64/v2", "linux/amd64"], "linux/amd64"],
    ["linux/amd64/v3", ["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"], "linux/amd64/v2"],
    ["linux/arm/v7", ["linux/arm/v5", "linux/arm/v6"], "linux/arm/v6"],
    ["linux/arm/v6", ["linux/arm/v7"], undefined],
    ["linux/arm", ["linux/arm/v6", "linux/arm/v7"], "linux/arm/v7"],
    ["linux/arm64", ["linux/arm/v7", "linux/arm64/v8"], "linux/arm64/v8"],
    ["linux/arm64", ["linux/arm/v6"], "linux/arm/v6"],
    ["linux/arm64/v9.2", ["linux/arm64/v8.7", "linux/arm64/v8.8"], "linux/arm64/v8.7"],
    ["linux/riscv64", ["linux/amd64"], undefined],
    ["linux/amd64", ["windows/amd64", "unknown/unknown"], undefined],
  ] as const) {
    it(`${wanted} of ${offered.join(", ")} takes ${best ?? "none"}`, () => {
      assert.equal(matcher(wanted).best(offered.map((text) => entry(text)))?.name, best);
    });
  }

  it("takes the first of equals, and one of unknown platform last", () => {
    const first: { name: string; platform?: OciPlatform } = entry("linux/amd64");
    const unknown: typeof first = { name: "unknown" };
    assert.equal(matcher("linux/amd64").best([unknown, first, entry("linux/amd64")]), first);
    assert.equal(matcher("linux/riscv64").best([first, unknown]), unknown);
  });

  it("compares Windows builds when both name one", () => {
    const windows = new PlatformMatcher(
      normalizePlatform({ os: "windows", architecture: "amd64", osVersion: "10.0.20348.1" }),
    );
    const old = entry("windows/amd64", { "os.version": "10.0.17763.9" });
    const same = entry("windows/amd64", { "os.version": "10.0.20348.2", "os.features": ["win32k"] });
    assert.equal(windows.best([old, same]), same);
  });
});
