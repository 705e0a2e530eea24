import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { Stat } from "../../../src/api/gen/fsutil.ts";
import { ReadDirResponse } from "../../../src/api/gen/gateway.ts";
import type { Ref } from "../../../src/core/values/layer.ts";
import type { TaskBody } from "../../../src/core/values/task.ts";
import { ReadRunner } from "../../../src/worker-agent/ops/read-op.ts";
import { materialize } from "../../helpers/materialize.ts";
import { PlainLayers } from "../../helpers/plain-layers.ts";
import { runContext, taskOf } from "../../helpers/task.ts";

describe("ReadRunner", () => {
  let runner: ReadRunner;
  let layers: PlainLayers;
  let ref: Ref;
  before(() => {
    runner = new ReadRunner();
  });
  after(() => runner[Symbol.asyncDispose]());
  beforeEach(async () => {
    layers = await PlainLayers.create();
    ref = await layers.add((path) =>
      materialize(
        [
          { path: "dir/a.txt", type: "file", content: "0123456789", mode: "0640", uid: 3 },
          { path: "dir/b.md", type: "file" },
          { path: "dir/sub/c.txt", type: "file" },
          { path: "abs", type: "symlink", link: "/dir/a.txt" },
          { path: "out", type: "symlink", link: "../../../../../../etc/passwd" },
          { path: "fifo", type: "fifo" },
        ],
        path,
      ),
    );
  });
  afterEach(async () => {
    assert.equal(layers.open, 0);
    await layers[Symbol.asyncDispose]();
  });

  const run = async (body: TaskBody<"read">) => (await runner.run(taskOf("read", body), runContext(layers))).data;
  const read = async (path: string, offset = 0, length = 0) =>
    Buffer.from(await run({ op: "file", ref, path, offset, length })).toString();
  const list = async (path: string, includePattern = "") =>
    ReadDirResponse.decode(await run({ op: "dir", ref, path, includePattern })).entries.map((entry) => entry.path);

  it("reads files and parts of them, links in scope", async () => {
    assert.equal(await read("/dir/a.txt"), "0123456789");
    assert.equal(await read("abs", 3, 4), "3456");
    assert.equal(await read("abs", 8, 100), "89");
    assert.equal(await read("abs", 100, 1), "");
  });

  for (const [path, message] of [
    ["/nope", "open /nope: no such file or directory"],
    ["out", "open out: no such file or directory"],
    ["/dir", "/dir is not a regular file"],
    ["fifo", "fifo is not a regular file"],
  ] as const) {
    it(`says why ${path} cannot be read`, async () => {
      await assert.rejects(read(path), { name: "BuildError", message });
    });
  }

  it("lists one level of a directory", async () => {
    assert.deepEqual(await list("/"), ["abs", "dir", "fifo", "out"]);
    assert.deepEqual(await list("/dir"), ["a.txt", "b.md", "sub"]);
    assert.deepEqual(await list("dir", "*.txt"), ["a.txt"]);
    await assert.rejects(list("/nope"), /no such file or directory$/);
    await assert.rejects(list("/dir/a.txt"), /not a directory$/);
  });

  it("describes a file", async () => {
    const stat = Stat.decode(await run({ op: "stat", ref, path: "/dir/a.txt" }));
    assert.deepEqual(
      [stat.path, stat.mode, stat.uid, stat.size, stat.modTime],
      ["a.txt", 0o640, 3, 10, 1_700_000_000_000_000_000n],
    );
    await assert.rejects(run({ op: "stat", ref, path: "/dir/x" }), {
      message: "lstat /dir/x: no such file or directory",
    });
  });
});
