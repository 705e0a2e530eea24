import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { normalizePlatform, parsePlatform } from "../../../../src/core/values/platform.ts";

const host = normalizePlatform({ os: "linux", architecture: "arm64" });

describe("parsePlatform()", () => {
  it("takes what is missing from the host", () => {
    assert.deepEqual(parsePlatform("windows", host), normalizePlatform({ os: "windows", architecture: "arm64" }));
    assert.deepEqual(parsePlatform("macos", host), normalizePlatform({ os: "darwin", architecture: "arm64" }));
    assert.deepEqual(parsePlatform("x86_64", host), normalizePlatform({ os: "linux", architecture: "amd64" }));
  });

  it("does not care about names when there are two", () => {
    const { os, architecture, variant } = parsePlatform("Some/thing/else", host);
    assert.deepEqual([os, architecture, variant], ["some", "thing", "else"]);
  });

  it("reads version and features of an os", () => {
    const { os, osVersion, osFeatures } = parsePlatform("windows(10.0%2B1+win32k+x)/amd64", host);
    assert.deepEqual([os, osVersion, osFeatures], ["windows", "10.0+1", ["win32k", "x"]]);
  });

  const osPattern = '"^([A-Za-z0-9_-]+)(?:\\\\(([A-Za-z0-9_.%-]*)((?:\\\\+[A-Za-z0-9_.%-]+)*)\\\\))?$"';
  for (const [text, message] of [
    ["xyz", '"xyz": unknown operating system or architecture'],
    ["0", '"0": unknown operating system or architecture'],
    ["linux/amd64/v9/x", '"linux/amd64/v9/x": cannot parse platform specifier'],
    ["linux/", '"" is an invalid component of "linux/": platform specifier component must match "^[A-Za-z0-9_.-]+$"'],
    [",", `"," is an invalid OS component of ",": OSAndVersion specifier component must match ${osPattern}`],
    ["/amd64", `"" is an invalid OS component of "/amd64": OSAndVersion specifier component must match ${osPattern}`],
  ] as const) {
    it(`refuses ${JSON.stringify(text)} as BuildKit does`, () => {
      assert.throws(() => parsePlatform(text, host), { message: `${message}: invalid argument` });
    });
  }
});
