import assert from "node:assert/strict";
import { test } from "node:test";
import { ResolvedSources } from "../../../../src/coordinator/ops/resolved-sources.ts";

test("ResolvedSources keeps what a build's sources were until the build ends", () => {
  const sources = new ResolvedSources();
  const source = { identifier: "git://h/r.git#v1", attrs: { "git.fullurl": "https://h/r.git" } };
  const resolved = { cacheKey: "k", pin: "p", details: {} };
  sources.remember(["a", "b"], source, resolved);
  assert.equal(sources.find(["x", "b"], source), resolved);
  assert.equal(sources.find(["x"], source), undefined);
  assert.equal(sources.find([], source), undefined);
  const laidOut = { ...source, attrs: { ...source.attrs, "git.keepgitdir": "true" } };
  assert.equal(sources.find(["a"], laidOut), resolved);
  const elsewhere = { ...source, attrs: { "git.fullurl": "https://other/r.git" } };
  assert.equal(sources.find(["a"], elsewhere), undefined);
  sources.forget("b");
  assert.equal(sources.find(["b"], source), undefined);
  assert.equal(sources.find(["a"], source), resolved);
});

test("ResolvedSources tells requests with other headers, secrets or checksums apart", () => {
  const sources = new ResolvedSources();
  const source = { identifier: "https://h/f", attrs: {} };
  sources.remember(["a"], source, { cacheKey: "k", pin: "p", details: {} });
  for (const name of ["http.header.accept", "http.authheadersecret", "git.checksum"]) {
    assert.equal(sources.find(["a"], { ...source, attrs: { [name]: "x" } }), undefined);
  }
});
