import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NetMode } from "../../../../../src/api/gen/ops.ts";
import { parseIgnoreFile } from "../../../../../src/frontend/dockerfile/context/ignore-file.ts";
import { parseBuildConfig, parseGitRef } from "../../../../../src/frontend/dockerfile/context/index.ts";

describe("parseBuildConfig()", () => {
  it("reads lists and numbers", () => {
    const config = parseBuildConfig({
      "add-hosts": 'A=10.0.0.1,"b=FE80:0:0:0::1",c=::ffff:1.2.3.4',
      ulimit: "nofile=5:6,nproc=7,core=-1:-1",
      "shm-size": "100",
      memory: "5",
      memswap: "-1",
      cpusetcpus: "0-3,7",
      "force-network-mode": "none",
      "build-arg:A": "1",
      "label:l": "2",
      platform: "linux/arm64/v8,linux/arm",
    });
    assert.deepEqual(config.extraHosts, [
      { Host: "a", IP: "10.0.0.1" },
      { Host: "b", IP: "fe80::1" },
      { Host: "c", IP: "1.2.3.4" },
    ]);
    assert.deepEqual(
      config.ulimits.map(({ Name, Soft, Hard }) => [Name, Soft, Hard]),
      [
        ["nofile", 5, 6],
        ["nproc", 7, 7],
        ["core", -1, -1],
      ],
    );
    assert.equal(config.shmSizeBytes, 100);
    assert.equal(config.linuxResources?.memorySwap, -1);
    assert.equal(config.networkMode, NetMode.NONE);
    assert.deepEqual(
      [...config.buildArgs, ...config.labels],
      [
        ["A", "1"],
        ["l", "2"],
      ],
    );
    assert.equal(config.multiPlatformRequested, true);
    assert.deepEqual(
      config.targetPlatforms.map(({ architecture, variant }) => architecture + variant),
      ["arm64", "armv7"],
    );
  });

  it("reads build arguments that mean something to the build", () => {
    const config = parseBuildConfig({
      hostname: "other",
      "build-arg:BUILDKIT_CACHE_MOUNT_NS": "ns",
      "build-arg:BUILDKIT_SANDBOX_HOSTNAME": "host",
      "build-arg:BUILDKIT_MULTI_PLATFORM": "1",
      "build-arg:BUILDKIT_DOCKERFILE_CHECK": "skip=StageNameCasing;error=true",
    });
    assert.equal(config.cacheIdNamespace, "ns");
    assert.equal(config.hostname, "host");
    assert.equal(config.multiPlatformRequested, true);
    assert.equal(config.lintConfig?.returnAsError, true);
  });

  it("has defaults", () => {
    const config = parseBuildConfig({});
    assert.equal(config.noCacheStages, undefined);
    assert.equal(config.linuxResources, undefined);
    assert.equal(config.imageResolveMode, "default");
    assert.equal(config.multiPlatformRequested, false);
  });

  for (const [opts, message] of [
    [{ "image-resolve-mode": "x" }, "invalid image-resolve-mode: x"],
    [{ "force-network-mode": "x" }, "invalid netmode x"],
    [{ "add-hosts": "a" }, "failed to parse additional hosts: invalid key-value pair a"],
    [{ "add-hosts": "a=b" }, "failed to parse additional hosts: failed to parse IP b"],
    [{ ulimit: "x=1" }, "failed to parse ulimit: invalid ulimit type: x"],
    [
      { ulimit: "core=2:1" },
      "failed to parse ulimit: ulimit soft limit must be less than or equal to hard limit: 2 > 1",
    ],
    [{ memory: "0" }, "failed to parse resource limits: invalid memory value: 0: must be > 0"],
    [{ memswap: "-2" }, "failed to parse resource limits: invalid memswap value: -2: must be -1 (unlimited) or > 0"],
    [{ "multi-platform": "x" }, "invalid boolean value for multi-platform: x"],
    [
      { "multi-platform": "false", platform: "linux/amd64,linux/arm64" },
      "conflicting config: returning multiple target platforms is not allowed",
    ],
    [
      { "build-arg:BUILDKIT_DISABLE_FILEOP": "1" },
      'support for "BUILDKIT_DISABLE_FILEOP" build-arg was removed in BuildKit 0.11',
    ],
  ] as const) {
    it(`refuses ${JSON.stringify(opts)}`, () => {
      assert.throws(() => parseBuildConfig(opts), { message });
    });
  }
});

describe("parseGitRef()", () => {
  it("takes the query form", () => {
    const ref = parseGitRef("https://h/a.git?branch=b&subdir=s&submodules=0&keep-git-dir&mtime=commit&checksum=12");
    assert.deepEqual(ref, {
      remote: "https://h/a.git",
      indistinguishableFromLocal: false,
      ref: "refs/heads/b",
      subdir: "s",
      checksum: "12",
      fetchByCommit: false,
      keepGitDir: true,
      submodules: false,
      mtime: "commit",
    });
  });

  it("leaves paths, other URLs and images alone", () => {
    for (const text of ["a/b", "./github.com/a/b", "https://h/a", "ftp://h/a.git", "a"]) {
      assert.equal(parseGitRef(text), undefined, text);
    }
    assert.equal(parseGitRef("github.com/a/b")?.indistinguishableFromLocal, true);
  });

  for (const [query, message] of [
    ["x=1", 'unexpected query "x"'],
    ["ref=", 'query "ref" has no value'],
    ["ref=a&ref=b", 'query "ref" has multiple values'],
    ["tag=a&branch=b", "branch conflicts with tag"],
    ["ref=a&tag=b", 'ref conflicts: "a" vs "refs/tags/b"'],
    ["submodules=x", 'invalid submodules value: "x"'],
    ["mtime=x", 'invalid mtime value: "x" (must be "checkout" or "commit")'],
  ] as const) {
    it(`refuses ?${query}`, () => {
      assert.throws(() => parseGitRef(`https://h/a.git?${query}`), { message });
    });
  }
});

describe("parseIgnoreFile()", () => {
  it("drops comments, blanks and leading slashes, and cleans paths", () => {
    const text = "\uFEFF# c\n\n /a/ \n! /b/../c\n #d\n/\n**/x//y\n";
    assert.deepEqual(parseIgnoreFile(Buffer.from(text)), ["a", "!c", "#d", "/", "**/x/y"]);
  });
});
