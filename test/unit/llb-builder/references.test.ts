import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  familiarReference,
  formatReference,
  parseGitUrl,
  parseReference,
  withDefaultTag,
} from "../../../src/llb/builder/index.ts";

describe("parseReference()", () => {
  const digest = `sha256:${"a".repeat(64)}`;
  for (const [text, full, familiar] of [
    ["alpine", "docker.io/library/alpine:latest", "alpine:latest"],
    ["index.docker.io/alpine:3", "docker.io/library/alpine:3", "alpine:3"],
    ["user/app", "docker.io/user/app:latest", "user/app:latest"],
    ["localhost/app", "localhost/app:latest", "localhost/app:latest"],
    ["localhost:5000/a/b:t", "localhost:5000/a/b:t", "localhost:5000/a/b:t"],
    [`a:t@${digest}`, `docker.io/library/a:t@${digest}`, `a:t@${digest}`],
    [`ghcr.io/a__b/c.d@${digest}`, `ghcr.io/a__b/c.d@${digest}`, `ghcr.io/a__b/c.d@${digest}`],
    ["Host/app", "Host/app:latest", "Host/app:latest"],
  ] as const) {
    it(text, () => {
      const reference = withDefaultTag(parseReference(text));
      assert.equal(formatReference(reference), full);
      assert.equal(familiarReference(reference), familiar);
    });
  }

  for (const [text, message] of [
    ["", "invalid reference format"],
    ["a//b", "invalid reference format"],
    ["a:", "invalid reference format"],
    ["a@sha256:12", "invalid reference format"],
    ["Alpine", "invalid reference format: repository name (library/Alpine) must be lowercase"],
    ["b".repeat(64), `invalid repository name (${"b".repeat(64)}), cannot specify 64-byte hexadecimal strings`],
    ["c".repeat(300), "repository name must not be more than 255 characters"],
  ] as const) {
    it(`refuses ${JSON.stringify(text.slice(0, 20))}`, () => {
      assert.throws(() => parseReference(text), { message });
    });
  }
});

describe("parseGitUrl()", () => {
  it("splits URLs and the short form of ssh", () => {
    const web = parseGitUrl("https://u:p@host:8443/a/b.git?ref=v1#main:x/../y");
    assert.equal(web.kind, "url");
    if (web.kind !== "url") return;
    const { scheme, host, path, ref, subdir, remote } = web.url;
    assert.deepEqual(
      { scheme, host, path, ref, subdir, remote },
      {
        scheme: "https",
        host: "host:8443",
        path: "/a/b.git",
        ref: "main",
        subdir: "y",
        remote: "https://u:p@host:8443/a/b.git",
      },
    );
    const ssh = parseGitUrl("git@host:a/b.git#v1");
    assert.equal(ssh.kind === "url" && ssh.url.remote, "git@host:a/b.git");
    assert.equal(ssh.kind === "url" && ssh.url.ref, "v1");
  });

  it("tells an unknown form from a protocol that is none of git's", () => {
    assert.equal(parseGitUrl("a/b").kind, "unknown-protocol");
    assert.equal(parseGitUrl("ftp://a/b").kind, "invalid");
  });
});
