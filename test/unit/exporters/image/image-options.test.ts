import assert from "node:assert/strict";
import { test } from "node:test";
import { parseImageOptions } from "../../../../src/exporters/image/image-options.ts";

test("parseImageOptions() takes zstd layers in Docker's media types", () => {
  const options = parseImageOptions({ compression: "zstd", "oci-mediatypes": "false" });
  assert.equal(options.compression.type, "zstd");
  assert.equal(options.ociMediaTypes, false);
});
