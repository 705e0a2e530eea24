import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  familiarName,
  formatImageSpec,
  formatNamedReference,
  parseImageSpec,
  parseNamedReference,
  specDigest,
  specHost,
  specRepository,
  withDefaultTag,
} from "../../../../src/core/values/image-reference.ts";

const digest = `sha256:${"a".repeat(64)}`;

describe("parseImageSpec()", () => {
  it("splits a qualified reference", () => {
    const spec = parseImageSpec(`localhost:5000/team/app:v1@${digest}`);
    assert.deepEqual(spec, { locator: "localhost:5000/team/app", object: `v1@${digest}` });
    assert.equal(specHost(spec), "localhost:5000");
    assert.equal(specRepository(spec), "team/app");
    assert.equal(specDigest(spec), digest);
    assert.equal(formatImageSpec(spec), `localhost:5000/team/app:v1@${digest}`);
    assert.equal(formatImageSpec(parseImageSpec(`a.b/c@${digest}`)), `a.b/c@${digest}`);
    assert.equal(parseImageSpec("docker.io/library/data").object, "");
  });

  for (const [text, message] of [
    ["data:golden", 'parse "dummy://data:golden": invalid port ":golden" after host'],
    ["a b/c", 'parse "dummy://a b/c": invalid character " " in host name'],
    ["x://y", "invalid reference"],
    ["", "hostname required"],
    ["/x", "hostname required"],
  ] as const) {
    it(`rejects ${JSON.stringify(text)}`, () => assert.throws(() => parseImageSpec(text), { message }));
  }
});

describe("parseNamedReference()", () => {
  for (const [text, full, familiar] of [
    ["alpine", "docker.io/library/alpine:latest", "alpine:latest"],
    ["alpine:3", "docker.io/library/alpine:3", "alpine:3"],
    ["docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"],
    ["index.docker.io/team/app", "docker.io/team/app:latest", "team/app:latest"],
    ["team/app", "docker.io/team/app:latest", "team/app:latest"],
    ["localhost/app", "localhost/app:latest", "localhost/app:latest"],
    ["Host/app", "Host/app:latest", "Host/app:latest"],
    ["h:5000/a/b:t", "h:5000/a/b:t", "h:5000/a/b:t"],
    ["[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"],
    [`app@${digest}`, `docker.io/library/app@${digest}`, `app@${digest}`],
    [`app:t@${digest}`, `docker.io/library/app:t@${digest}`, `app:t@${digest}`],
  ] as const) {
    it(`normalizes ${text}`, () => {
      const name = withDefaultTag(parseNamedReference(text));
      assert.equal(formatNamedReference(name), full);
      assert.equal(familiarName(name), familiar);
    });
  }

  for (const [text, message] of [
    ["", "invalid reference format"],
    ["Alpine", "invalid reference format: repository name (library/Alpine) must be lowercase"],
    ["a//b", "invalid reference format"],
    ["app:", "invalid reference format"],
    ["app@sha256:short", "invalid reference format"],
    [`docker.io/${"a".repeat(256)}`, "repository name must not be more than 255 characters"],
    ["a".repeat(64), `invalid repository name (${"a".repeat(64)}), cannot specify 64-byte hexadecimal strings`],
  ] as const) {
    it(`rejects ${JSON.stringify(text.slice(0, 40))}`, () =>
      assert.throws(() => parseNamedReference(text), { message }));
  }
});
