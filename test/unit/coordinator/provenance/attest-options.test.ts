import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseAttestOptions } from "../../../../src/coordinator/provenance/index.ts";

const provenance = (value: string) => parseAttestOptions({ "attest:provenance": value }).provenance;

describe("parseAttestOptions()", () => {
  it("asks for nothing by itself", () => {
    assert.deepEqual(parseAttestOptions({ filename: "Dockerfile", "build-arg:X": "1" }), {});
  });

  it("reads provenance options, everything by default", () => {
    assert.deepEqual(provenance(""), {
      version: "v1",
      mode: "max",
      builderId: "",
      filename: "provenance.json",
      reproducible: false,
      inlineOnly: false,
      completeMaterials: false,
      indented: false,
    });
    const text = '"builder-id=http://a,b",mode=min,version=v0.2,inline-only=true,reproducible=1,filename=p.json';
    assert.deepEqual(provenance(text), {
      version: "v0.2",
      mode: "min",
      builderId: "http://a,b",
      filename: "p.json",
      reproducible: true,
      inlineOnly: true,
      completeMaterials: false,
      indented: false,
    });
    assert.equal(provenance("mode=full")?.mode, "max");
    assert.equal(provenance("inline-only=maybe")?.inlineOnly, false);
  });

  it("takes build arguments as well", () => {
    const { provenance: asked, sbom } = parseAttestOptions({
      "build-arg:BUILDKIT_ATTEST_PROVENANCE": "mode=min",
      "build-arg:BUILDKIT_ATTEST_SBOM": "generator=scan,k=v",
    });
    assert.equal(asked?.mode, "min");
    assert.equal(sbom?.generator, "docker.io/library/scan:latest");
    assert.deepEqual(sbom?.parameters, new Map([["k", "v"]]));
  });

  it("refuses in BuildKit's words", () => {
    for (const [value, message] of [
      ["mode=some", 'invalid mode "some"'],
      ["version=v2", "invalid provenance SLSA version: v2"],
      ["version=", "provenance SLSA version cannot be empty"],
      [
        "reproducible=maybe",
        'failed to parse reproducible flag "maybe": strconv.ParseBool: parsing "maybe": invalid syntax',
      ],
    ] as const) {
      assert.throws(() => provenance(value), { message });
    }
    assert.throws(() => parseAttestOptions({ "attest:other": "" }), { message: 'unknown attestation type "other"' });
  });
});
