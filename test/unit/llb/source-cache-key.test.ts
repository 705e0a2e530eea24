import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { sha256 } from "../../../src/core/values/digest.ts";
import { normalizePlatform } from "../../../src/core/values/platform.ts";
import {
  blobSourceKey,
  gitSourceKey,
  httpSourceKey,
  imageConfigKey,
  imageManifestKey,
  localSourceKey,
  sourceCacheDigest,
} from "../../../src/llb/cache-keys/index.ts";

const digest = sha256("x");
const config = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

describe("source cache keys", () => {
  it("of an image: manifest and platform, then the chain of layers", () => {
    const arm = normalizePlatform({ os: "linux", architecture: "arm", variant: "7" });
    assert.equal(
      imageManifestKey({ digest, platform: arm, layerLimit: 1 }),
      sha256(`{"Digest":"${digest}","OS":"linux","Arch":"arm","Variant":"v7","Limit":1}`),
    );
    const diffIds = [sha256("1"), sha256("2")];
    const image = config({ rootfs: { type: "layers", diff_ids: diffIds } });
    assert.equal(imageConfigKey(image), sha256(`${diffIds[0]} ${diffIds[1]}`));
    assert.equal(imageConfigKey(image, 1), diffIds[0]);
    assert.throws(() => imageConfigKey(image, 3), /^BuildError: image has 2 layers, limit is 3$/);
    assert.equal(imageConfigKey(config({ rootfs: { type: "layers", diff_ids: [] } })), undefined);
    assert.equal(imageConfigKey(new Uint8Array([1])), sha256(new Uint8Array([1])));
  });

  it("of a URL, escaped as Go does", () => {
    const key = {
      filename: "a<b",
      perm: 0,
      uid: 0,
      gid: 0,
      checksum: digest,
      lastModified: "",
      authHeaderSecret: "",
      header: [],
    };
    assert.equal(
      httpSourceKey(key),
      sha256(`{"Filename":"a\\u003cb","Perm":0,"UID":0,"GID":0,"Checksum":"${digest}"}`),
    );
    assert.equal(
      httpSourceKey({ ...key, perm: 0o600, lastModified: "now", header: [{ name: "accept", value: "" }] }),
      sha256(
        `{"Filename":"a\\u003cb","Perm":384,"UID":0,"GID":0,"Checksum":"${digest}","LastModTime":"now","Header":[{"Name":"accept","Value":""}]}`,
      ),
    );
    assert.equal(
      blobSourceKey({ digest, filename: "f", perm: 0, uid: 1, gid: 2 }),
      sha256(`{"Digest":"${digest}","Filename":"f","Perm":0,"UID":1,"GID":2}`),
    );
  });

  it("of a commit", () => {
    const key = {
      commit: "c0ffee",
      ref: "refs/heads/main",
      keepGitDir: false,
      subdir: "",
      skipSubmodules: false,
      mtime: "",
    };
    assert.equal(gitSourceKey(key), "c0ffee");
    assert.equal(
      gitSourceKey({ ...key, keepGitDir: true, subdir: "sub", skipSubmodules: true, mtime: "commit" }),
      "c0ffee.git#refs/heads/main:sub(skip-submodules)(mtime=commit)",
    );
    assert.equal(gitSourceKey({ ...key, ref: "", keepGitDir: true, mtime: "checkout" }), "c0ffee.git");
  });

  it("of a local directory holds for one session and is random", () => {
    const key = localSourceKey({
      name: "context",
      sessionId: "s",
      includePatterns: [],
      excludePatterns: ["a"],
      followPaths: [],
      metadataTransfer: false,
      metadataExceptions: [],
    });
    const json = '{"SessionID":"s","IncludePatterns":null,"ExcludePatterns":["a"],"FollowPaths":null}';
    assert.equal(key, `session:context:${sha256(json)}`);
    assert.match(sourceCacheDigest(key), /^random:[0-9a-f]{64}$/);
    assert.equal(sourceCacheDigest("c0ffee"), sha256("buildkit.source.v0:c0ffee"));
  });
});
