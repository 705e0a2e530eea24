import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CacheSharingOpt, Definition, NetMode, SecurityMode } from "../../../src/api/gen/ops.ts";
import { sha256 } from "../../../src/core/values/digest.ts";
import { normalizePlatform } from "../../../src/core/values/platform.ts";
import {
  diff,
  FileAction,
  git,
  http,
  image,
  local,
  marshalState,
  merge,
  ociLayout,
  parseOwnership,
  type State,
  scratch,
  stateFromDefinition,
} from "../../../src/llb/builder/index.ts";

const emptyDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const platform = normalizePlatform({ os: "linux", architecture: "amd64" });
const marshal = (state: State) => marshalState(state, { platform, localUniqueId: "unique-1" });

const base = image("alpine:3.20", { resolveMode: "pull" });
const time = 1_700_000_000;
const mkdir1 = base.file(FileAction.none.mkdir("/1", 0o700));
const mkdir2 = base.file(FileAction.none.mkdir("/2", 0o700));
const source = local("src", { sessionId: "s" });

const files = base.withDir("/w").file(
  FileAction.none
    .mkdir("a", 0o755, { makeParents: true, owner: parseOwnership("root:staff") })
    .mkfile("/a/b", 0o600, "hi", { owner: { user: { id: 1 }, group: { id: 2 } } })
    .symlink("b", "/a/c", { createdTime: time })
    .rm("x*", { allowWildcard: true, allowNotFound: true })
    .copy(source.withDir("/q"), "p/", "dir/.", {
      mode: "u+x",
      followSymlinks: true,
      alwaysReplaceExisting: true,
      createdTime: time,
    }),
  { description: { a: "b" } },
);

const run = base
  .withEnv("A", "1")
  .withEnv("B", "2")
  .withEnv("A", "3")
  .withDir("/w")
  .withDir("x")
  .withUser("u:g")
  .withHostname("h")
  .runWithMount(
    {
      args: ["sh", "-c", "x"],
      mounts: [
        { target: "/z" },
        { target: "/b", source: base, selector: "/p", readonly: true },
        { target: "/c", cache: { id: "id", sharing: CacheSharingOpt.LOCKED } },
        { target: "/t", tmpfs: { sizeBytes: 100 } },
        { target: "/n", source: base, noOutput: true },
      ],
      secrets: [
        { id: "tok", target: "/run/s", uid: 1, gid: 2, mode: 0o440, optional: true },
        { id: "env", env: "TOKEN" },
      ],
      ssh: [
        { id: "default", optional: true },
        { id: "o", target: "/ssh", uid: 5, gid: 6, mode: 0o660 },
      ],
      network: NetMode.HOST,
      security: SecurityMode.INSECURE,
      extraHosts: [{ Host: "h1", IP: "10.0.0.1" }],
      ulimits: [{ Name: "nofile", Soft: 10, Hard: 20 }],
      proxyEnv: { httpProxy: "p", httpsProxy: "", ftpProxy: "", noProxy: "", allProxy: "q" },
      cgroupParent: "cg",
      ignoreCache: true,
      linuxResources: {
        memory: 5,
        memorySwap: 0,
        cpuShares: 0,
        cpuPeriod: 0,
        cpuQuota: 0,
        cpusetCpus: "",
        cpusetMems: "",
      },
      customName: "n",
      cdiDevices: [{ name: "v/d=x", optional: true }],
    },
    "/z",
  );

/** Digest of the pointer op (it stands for all ops), number of ops, number of capabilities: as client/llb v0.32.2 gives them. */
const recorded: readonly (readonly [name: string, state: State, digest: string, ops: number, caps: number])[] = [
  ["image", base, "864fce75f33954f1f7762ecfd6032a47b95922a429428a2f97cae1925e94de4e", 2, 4],
  [
    "image by digest",
    image(`localhost:5000/a/b@${emptyDigest}`, { customName: "x" }),
    "b989b7e777fa337ab8144f9711f569c317239643addbb05a1e25c9b948992d61",
    2,
    4,
  ],
  [
    "local without session",
    local("src", { includePatterns: ["a<b"], excludePatterns: ["x", "!y"], sharedKeyHint: "k", differ: "none" }),
    "54bc16d62ae3e6cdf4bac72af06710d569cc2025cee93738d63bc7fd13abbb1b",
    2,
    7,
  ],
  [
    "local of a session",
    local("src", { sessionId: "s", followPaths: ["f"] }),
    "a17742727ae2b56bce335cf11802dbcb8d6e303f899851fc7d5f42257deee87b",
    2,
    5,
  ],
  [
    "http",
    http("https://example.com/a", { filename: "f", mode: 0o755, uid: 3, gid: 4, checksum: emptyDigest }),
    "2886ec99887a1acfce1877659c294529f342efddb34e6e408386956f35d78b39",
    2,
    6,
  ],
  [
    "git",
    git("https://github.com/a/b.git", {
      ref: "v1",
      subdir: "d",
      keepGitDir: true,
      skipSubmodules: true,
      mtime: "commit",
    }),
    "83189e4975d6ad6a3931db481aba6760d4a5709fed258c8e03dc719eca816a40",
    2,
    7,
  ],
  [
    "git without protocol",
    git("github.com/a/b"),
    "d2acf68517e0d520dad2ce7e085e850849566fb3becbf43e258e8df517927362",
    2,
    4,
  ],
  [
    "git over ssh",
    git("git@example.invalid:a/b.git", { knownSshHosts: "k\n" }),
    "a02cf9bc9fe05a1b111e2e5c0024d7d55c77a50e8dd8484db5ca8e09d15c95cf",
    2,
    6,
  ],
  [
    "oci layout",
    ociLayout(`docker.io/library/x@${emptyDigest}`, { sessionId: "s", storeId: "t" }),
    "5513712b66422e7c4f5252de11d0c52b10a6c4ce28a5b0c17302e0da37acdabd",
    2,
    3,
  ],
  ["file actions", files, "f9a9de1089539768eda1ffe9a8920ddd6307d5a69337ea27767c34585e467a48", 4, 8],
  [
    "copy from the base itself",
    base.file(FileAction.none.copy(base, "/a", "/b", { mode: 0o644 })),
    "4cc2ca8fcdc4cc286ba547ce9ad3985a423e8fa943da353302fdead45abf6e97",
    3,
    5,
  ],
  ["exec", run.root, "22db30215bd14e6fba2bc5b4da778b7f1d7b09cfd15b1098c62326ccb28bc15b", 3, 23],
  ["mount of an exec", run.mount, "e8876d049058fa3ad883da5043976a55b946e331a2ec25098fd8f1158be8e66e", 3, 23],
  [
    "mount of an exec with a read-only root",
    base.runWithMount({ args: ["true"], readonlyRoot: true, mounts: [{ target: "/out" }] }, "/out").mount,
    "b5d575b443ec7af2606d7a82f630f550a4696166243d0dec0b34bd9bffde77c9",
    3,
    7,
  ],
  [
    "merge",
    merge([mkdir1, scratch(), mkdir2]),
    "b482e768444c3032323add43fee8892af91f10452a9998514a5a2968901dec90",
    5,
    7,
  ],
  ["diff", diff(base, mkdir1), "38e9ae3e827c870ee1d8b50a8cb2c66145feba2d43ee2b34433fd1b3c444061a", 4, 6],
  ["diff to scratch", diff(base, scratch()), "26f972c0c47ec72af4df8dd808f8e058911054e18312ce26c81089526a81d852", 3, 5],
];

describe("marshalState() gives BuildKit's bytes", () => {
  for (const [name, state, digest, ops, caps] of recorded) {
    it(name, () => {
      const definition = marshal(state);
      assert.equal(sha256(definition.def.at(-1) ?? ""), `sha256:${digest}`);
      assert.equal(definition.def.length, ops);
      const all = Object.values(definition.metadata).flatMap((metadata) => Object.keys(metadata.caps));
      assert.equal(all.length, caps);
    });
  }

  it("survives a round trip through stateFromDefinition()", () => {
    for (const [name, state] of recorded) {
      const definition = marshal(state);
      const again = marshal(stateFromDefinition(Definition.decode(Definition.encode(definition).finish())));
      assert.deepEqual(Definition.encode(again).finish(), Definition.encode(definition).finish(), name);
    }
  });
});
