import assert from "node:assert/strict";
import { lstat, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { CacheSharingOpt } from "../../../src/api/gen/ops.ts";
import { diff, FileAction, image, local, merge, type State, scratch } from "../../../src/llb/builder/index.ts";
import { type BuildClient, directoryOutput, Sandbox } from "../../helpers/sandbox/index.ts";

describe("LLB builds on a fleet", () => {
  let sandbox: Sandbox;
  let client: BuildClient;
  let base: State;
  let outputs = 0;
  const outputPath = () => join(sandbox.root, `output-${outputs++}`);
  const sh = (state: State, command: string) => state.run({ args: ["sh", "-ec", command] });

  before(async () => {
    sandbox = await Sandbox.start({ agents: 2, namespaces: true });
    client = await sandbox.connect();
    base = image(sandbox.image());
  });
  afterEach(() => sandbox.idle());
  after(() => sandbox?.[Symbol.asyncDispose]());

  async function exported(state: State, locals: Readonly<Record<string, string>> = {}): Promise<string> {
    const path = outputPath();
    await client.build({ state, locals, outputs: [directoryOutput(path)] });
    return path;
  }

  it("mounts sources, selectors, scratch, tmpfs and read-only sources", async () => {
    const source = scratch().file(
      FileAction.none.mkdir("/dir", 0o755).mkfile("/dir/file", 0o644, "of source").mkfile("/top", 0o644, "top"),
    );
    const { mount } = base.runWithMount(
      {
        args: [
          "sh",
          "-ec",
          `cat /whole/top /part/file > /out/both
           touch /whole/new
           if touch /fixed/new 2>/dev/null; then exit 3; fi
           touch /lost/new /memory/new
           awk '$2 == "/memory" {print $3, $4}' /proc/mounts > /out/memory`,
        ],
        mounts: [
          { target: "/whole", source },
          { target: "/part", source, selector: "/dir" },
          { target: "/fixed", source, readonly: true },
          { target: "/lost", source, noOutput: true },
          { target: "/memory", tmpfs: { sizeBytes: 4 << 20 } },
          { target: "/out" },
        ],
      },
      "/out",
    );
    const path = await exported(mount);
    assert.equal(await readFile(join(path, "both"), "utf8"), "topof source");
    assert.match(await readFile(join(path, "memory"), "utf8"), /^tmpfs .*size=4096k/);
  });

  it("gives back what a step wrote to a mount", async () => {
    const source = scratch().file(FileAction.none.mkfile("/old", 0o644, "old"));
    const { mount } = base.runWithMount(
      { args: ["sh", "-ec", "rm /m/old; echo new > /m/new"], mounts: [{ target: "/m", source }] },
      "/m",
    );
    assert.deepEqual(await readdir(await exported(mount)), ["new"]);
  });

  it("keeps a cache mount from step to step", async () => {
    // Neither id nor sharing is part of what a step is known by.
    const step = (command: string, sharing: CacheSharingOpt) =>
      base.run({
        args: ["sh", "-ec", `cd /cache-${sharing}; ${command}`],
        mounts: [{ target: `/cache-${sharing}`, cache: { id: `kept-${sharing}`, sharing } }],
      });
    for (const sharing of [CacheSharingOpt.SHARED, CacheSharingOpt.LOCKED]) {
      await client.build({ state: step("echo kept > file", sharing) });
      const done = await client.build({ state: step("cat file", sharing) });
      assert.match(done.log, /kept/);
    }
  });

  it("merges and diffs what different agents made", async () => {
    const left = sh(base, "mkdir /made && echo left > /made/left && rm /etc/group");
    const right = sh(base, "mkdir /made && echo right > /made/right");
    const path = await exported(merge([diff(base, left), diff(base, right)]));
    assert.deepEqual((await readdir(join(path, "made"))).sort(), ["left", "right"]);
    const whole = await exported(merge([base, diff(base, left), diff(base, right)]));
    await assert.rejects(lstat(join(whole, "etc/group")), /ENOENT/);
    await lstat(join(whole, "bin/busybox"));
  });

  it("changes files without a shell", async () => {
    const other = scratch().file(FileAction.none.mkfile("/a.txt", 0o600, "a").mkfile("/b.bin", 0o600, "b"));
    const path = await exported(
      scratch().file(
        FileAction.none
          .mkdir("/deep/er", 0o750, { makeParents: true })
          .mkfile("/gone", 0o644, "")
          .symlink("er", "/deep/link")
          .copy(other, "/*.txt", "/deep/", { allowWildcard: true, mode: 0o640 })
          .rm("/gone"),
      ),
    );
    assert.deepEqual((await readdir(join(path, "deep"))).sort(), ["a.txt", "er", "link"]);
    assert.equal((await lstat(join(path, "deep/a.txt"))).mode & 0o777, 0o640);
    assert.deepEqual(await readdir(path), ["deep"]);
  });

  it("takes only what a local source asks for, and again only what changed", async () => {
    const source = await client.writeContext({ "one.txt": "1", "two.bin": "2", "sub/three.txt": "3" });
    const wanted = () => local("src", { includePatterns: ["**/*.txt"], excludePatterns: ["sub"] });
    assert.deepEqual(await readdir(await exported(wanted(), { src: source })), ["one.txt"]);
    const step = () =>
      base.run({
        args: ["sh", "-ec", "ls /src | wc -l"],
        mounts: [{ target: "/src", source: wanted(), readonly: true }],
      });
    const first = await client.build({ state: step(), locals: { src: source } });
    assert.match(first.log, /^1/);
    const second = await client.build({ state: step(), locals: { src: source } });
    assert.equal(second.log, "", "the step ran again though nothing had changed");
  });

  it("does one step for many builds at once", async () => {
    const shared = sh(base, "sleep 1; cat /proc/sys/kernel/random/uuid > /id");
    const builds = Array.from({ length: 6 }, async (_, i) => {
      const path = await exported(shared.file(FileAction.none.mkfile("/number", 0o644, String(i))));
      return Promise.all([readFile(join(path, "id"), "utf8"), readFile(join(path, "number"), "utf8")]);
    });
    const results = await Promise.all(builds);
    assert.equal(new Set(results.map(([id]) => id)).size, 1);
    assert.deepEqual(
      results.map(([, number]) => number),
      ["0", "1", "2", "3", "4", "5"],
    );
  });

  it("runs many steps in a row and many side by side", async () => {
    let chain = base;
    for (let i = 0; i < 25; i++) chain = sh(chain, `echo ${i} >> /chain`);
    const path = await exported(chain);
    assert.equal((await readFile(join(path, "chain"), "utf8")).trim().split("\n").length, 25);
    const wide = Array.from({ length: 25 }, (_, i) => diff(base, sh(base, `echo ${i} > /wide-${i}`)));
    assert.equal((await readdir(await exported(merge(wide)))).length, 25);
  });
});
