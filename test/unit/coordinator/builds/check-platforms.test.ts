import assert from "node:assert/strict";
import { test } from "node:test";
import { platformWarnings, requestedPlatforms } from "../../../../src/coordinator/builds/check-platforms.ts";
import { formatPlatform, hostPlatform } from "../../../../src/core/values/platform.ts";
import { resultPlatforms } from "../../../../src/exporters/index.ts";

const host = formatPlatform(hostPlatform());
const scratch = { layers: [] };
const bytes = (text: string) => new TextEncoder().encode(text);

test("requestedPlatforms() takes a build without platforms to mean this machine's", () => {
  assert.deepEqual(requestedPlatforms({}), [host]);
  assert.deepEqual(requestedPlatforms({ platform: "linux/amd64,linux/arm64" }), ["linux/amd64", "linux/arm64"]);
  assert.deepEqual(requestedPlatforms({ requestid: "frontend.lint", platform: "linux/amd64" }), []);
});

test("platformWarnings() compares what was asked for with what was built", () => {
  const single = { metadata: new Map(), ref: scratch };
  assert.deepEqual(platformWarnings([host], single), []);
  assert.deepEqual(platformWarnings(["linux/amd64", "linux/arm64"], single), [
    "Multiple platforms requested but result is not multi-platform",
  ]);
  const platforms = ["amd64", "arm64"].map((architecture) => ({
    ID: `linux/${architecture}`,
    Platform: { os: "linux", architecture },
  }));
  const multi = {
    metadata: new Map([["refs.platforms", bytes(JSON.stringify({ Platforms: platforms }))]]),
    refs: new Map(platforms.map(({ ID }) => [ID, scratch])),
  };
  assert.match(platformWarnings([host], multi)[0] ?? "", /do not match result platforms linux\/amd64,linux\/arm64$/);
});

test("resultPlatforms() refuses a mapping of nothing", () => {
  for (const text of ["null", "{}"]) {
    assert.throws(() => resultPlatforms({ metadata: new Map([["refs.platforms", bytes(text)]]), ref: scratch }), {
      message: "invalid empty platforms index for exporter",
    });
  }
});
