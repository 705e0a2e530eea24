import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatPlatform, parsePlatform } from "../../../../src/core/values/platform.ts";
import { runnablePlatforms } from "../../../../src/worker-agent/emulation/host-platforms.ts";

describe("runnablePlatforms()", () => {
  const platforms = (host: string, ...emulated: string[]) =>
    runnablePlatforms(new Set(emulated), ["v2", "v3"], parsePlatform(host)).map(formatPlatform);

  it("puts the machine's own first, then the others in BuildKit's order", () => {
    assert.deepEqual(platforms("linux/amd64"), ["linux/amd64", "linux/amd64/v2", "linux/amd64/v3", "linux/386"]);
    assert.deepEqual(platforms("linux/amd64", "arm", "s390x", "arm64"), [
      "linux/amd64",
      "linux/amd64/v2",
      "linux/amd64/v3",
      "linux/arm64",
      "linux/s390x",
      "linux/386",
      "linux/arm/v7",
      "linux/arm/v6",
    ]);
    assert.deepEqual(platforms("linux/arm64", "amd64"), ["linux/arm64", "linux/amd64"]);
    assert.deepEqual(platforms("linux/arm/v7"), ["linux/arm/v7", "linux/arm/v6"]);
  });
});
