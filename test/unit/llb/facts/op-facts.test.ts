import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ExecOp, FileOp, type Op, SourceOp } from "../../../../src/api/gen/ops.ts";
import { parsePlatform } from "../../../../src/core/values/platform.ts";
import { opFacts } from "../../../../src/llb/facts/index.ts";

const platform = parsePlatform("linux/amd64");
const exec = (value: Parameters<typeof ExecOp.fromPartial>[0]) =>
  opFacts({ op: { $case: "exec", value: ExecOp.fromPartial(value) } } as Op, platform);
const source = (identifier: string, attrs: Record<string, string> = {}, pin?: string) =>
  opFacts({ op: { $case: "source", value: SourceOp.fromPartial({ identifier, attrs }) } } as Op, platform, pin);
const file = (...actions: NonNullable<Parameters<typeof FileOp.fromPartial>[0]["actions"]>) =>
  opFacts({ op: { $case: "file", value: FileOp.fromPartial({ actions }) } } as Op, platform);

describe("opFacts()", () => {
  it("names what a container step is made from", () => {
    const root = { dest: "/", input: 0, output: 0 };
    assert.deepEqual(
      exec({
        meta: {
          args: ["/bin/sh", "-c", "make all"],
          env: ["PATH=/bin", "FLAGS=a=b", "EMPTY="],
          cwd: "/src",
          user: "app",
          ulimit: [{ Name: "nofile", Soft: 1, Hard: 2 }],
        },
        network: 2,
        mounts: [
          root,
          { dest: "/ctx", input: 1, output: -1, readonly: true, selector: "/part" },
          { dest: "/cache", input: -1, output: -1, mountType: 3, cacheOpt: { ID: "ns//cache", sharing: 0 } },
        ],
      }),
      {
        command: "make all",
        shell: "/bin/sh -c",
        "variable PATH": "/bin",
        "variable FLAGS": "a=b",
        "variable EMPTY": "",
        "working directory": "/src",
        user: "app",
        "ulimit nofile": "1:2",
        network: "none",
        "mount /": "bind, from input #1",
        "mount /ctx": "bind, from input #2, path /part, read-only",
        "mount /cache": "cache, default id /cache",
        platform: "linux/amd64",
      },
    );
    assert.deepEqual(exec({ meta: { args: ["echo", "two words"] }, mounts: [root] }), {
      command: 'echo "two words"',
      platform: "linux/amd64",
    });
  });

  it("leaves out what does not enter the key", () => {
    const meta = { args: ["true"] };
    const plain = exec({ meta });
    assert.deepEqual(exec({ meta: { ...meta, proxyEnv: { httpProxy: "http://proxy" } } }), plain);
    const host = (IP: string) => exec({ meta: { ...meta, extraHosts: [{ Host: "db", IP }] } });
    assert.deepEqual(host("1.2.3.4"), host("5.6.7.8"));
    const cache = (ID: string) => exec({ meta, mounts: [{ dest: "/cache", mountType: 3, cacheOpt: { ID } }] });
    assert.deepEqual(cache("one"), cache("two"));
    assert.notDeepEqual(cache("one"), cache("/cache"));
  });

  it("names secrets by id", () => {
    const secretOpt = { ID: "key", uid: 1, gid: 2, mode: 0o400, optional: false };
    assert.deepEqual(
      exec({ mounts: [{ dest: "/key", mountType: 1, input: -1, secretOpt }], secretenv: [{ ID: "token", name: "T" }] }),
      {
        command: "",
        "secret variable T": "id token",
        "mount /key": "secret, id key, owner 1:2 mode 0400",
        platform: "linux/amd64",
      },
    );
  });

  it("tells an image's name from its digest", () => {
    const digest = `sha256:${"a".repeat(64)}`;
    const facts = { image: "docker.io/library/x:1", digest, platform: "linux/amd64" };
    assert.deepEqual(source(`docker-image://docker.io/library/x:1@${digest}`), facts);
    assert.deepEqual(source("docker-image://docker.io/library/x:1", {}, digest), facts);
  });

  it("keeps what a source turned out to be, and nothing of a session", () => {
    assert.deepEqual(source("git://host/repo#main", { "git.keepgitdir": "true" }, "c0ffee"), {
      source: "git://host/repo#main",
      "git.keepgitdir": "true",
      commit: "c0ffee",
    });
    assert.deepEqual(source("https://host/file", {}, "sha256:1"), { source: "https://host/file", content: "sha256:1" });
    assert.deepEqual(source("local://context", { "local.session": "s" }), { source: "local://context" });
  });

  it("numbers the actions of a file step when there are several", () => {
    const copy = { src: "/a", dest: "/b", mode: -1, timestamp: -1n, includePatterns: ["*.c", "*.h"] };
    const one = { input: 0, secondaryInput: 1, output: 0, action: { $case: "copy" as const, value: copy } };
    assert.deepEqual(file(one), {
      "copy inputs": "0, 1 -> 0",
      "copy source": "/a",
      "copy destination": "/b",
      "copy include patterns": "*.c, *.h",
    });
    const data = new TextEncoder().encode("secret text");
    const owner = { user: { user: { $case: "byName" as const, value: { name: "app", input: 0 } } } };
    const facts = file(one, { action: { $case: "mkfile", value: { path: "/f", mode: 0o644, data, owner } } });
    assert.equal(facts["copy 1 source"], "/a");
    assert.equal(facts["mkfile 2 mode"], "0644");
    assert.equal(facts["mkfile 2 owner"], "app:");
    assert.match(facts["mkfile 2 data"] ?? "", /^11 bytes, sha256:[0-9a-f]{12}$/);
  });

  it("shows no passwords of URLs, and of long texts the beginning", () => {
    const command = (text: string) => exec({ meta: { args: ["sh", "-c", text] } })["command"] ?? "";
    assert.equal(
      command("get https://me:pass@host/x ftp://me:pass@host http://token@host me@host"),
      "get https://xxxxx@host/x ftp://xxxxx@host http://xxxxx@host me@host",
    );
    assert.equal(source("git://me:pass@host/repo")["source"], "git://xxxxx@host/repo");
    const long = "x".repeat(10_000);
    assert.ok(command(long).length < 5000);
    assert.notEqual(command(`${long}a`), command(`${long}b`));
  });
});
