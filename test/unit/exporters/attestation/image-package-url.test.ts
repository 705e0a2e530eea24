import assert from "node:assert/strict";
import { it } from "node:test";
import { parsePlatform } from "../../../../src/core/values/platform.ts";
import { imagePackageUrl } from "../../../../src/exporters/index.ts";

const hex = "a".repeat(64);

it("imagePackageUrl() names images by repository, tag, digest and platform", () => {
  const arm = parsePlatform("linux/arm64/v8");
  for (const [reference, platform, expected] of [
    ["alpine", undefined, "pkg:docker/alpine@latest"],
    ["docker.io/library/alpine:3.20", arm, "pkg:docker/alpine@3.20?platform=linux%2Farm64"],
    ["foo/bar", undefined, "pkg:docker/foo/bar@latest"],
    ["localhost:5000/a/b:1", arm, "pkg:docker/localhost%3A5000/a/b@1?platform=linux%2Farm64"],
    [`alpine@sha256:${hex}`, undefined, `pkg:docker/alpine?digest=sha256:${hex}`],
    [`alpine:1@sha256:${hex}`, arm, `pkg:docker/alpine@1?digest=sha256:${hex}&platform=linux%2Farm64`],
  ] as const) {
    assert.equal(imagePackageUrl("docker", reference, platform), expected);
  }
  assert.equal(imagePackageUrl("oci", "a:1", undefined, { ref_type: "blob" }), "pkg:oci/a@1?ref_type=blob");
  assert.throws(() => imagePackageUrl("docker", "A", undefined), /^BuildError: failed to parse ref "A": invalid/);
});
