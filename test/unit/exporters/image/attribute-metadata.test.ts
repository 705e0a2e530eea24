import assert from "node:assert/strict";
import { test } from "node:test";
import { withAttributeMetadata } from "../../../../src/exporters/image/attribute-metadata.ts";

test("withAttributeMetadata() adds attributes to the metadata and leaves the result alone", () => {
  const bytes = (text: string) => new TextEncoder().encode(text);
  const metadata = new Map([
    ["containerimage.config", bytes("own")],
    ["other", bytes("kept")],
  ]);
  const source = withAttributeMetadata({ metadata }, { "containerimage.config": "given" });
  assert.deepEqual(
    [...source.metadata],
    [
      ["containerimage.config", bytes("given")],
      ["other", bytes("kept")],
    ],
  );
  assert.deepEqual(metadata.get("containerimage.config"), bytes("own"));
});
