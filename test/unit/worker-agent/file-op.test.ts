import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { type FileAction, Op } from "../../../src/api/gen/ops.ts";
import { encodeTarHeader, TarType, tarHeader, tarTrailer } from "../../../src/archive/tar/index.ts";
import { StepFailedError } from "../../../src/core/errors/step-failed-error.ts";
import { type Ref, scratchRef } from "../../../src/core/values/layer.ts";
import { hostPlatform } from "../../../src/core/values/platform.ts";
import { byteString } from "../../../src/util/sys/index.ts";
import { FileOpRunner } from "../../../src/worker-agent/ops/file-op.ts";
import { materialize } from "../../helpers/materialize.ts";
import { PlainLayers } from "../../helpers/plain-layers.ts";
import { runContext, taskOf } from "../../helpers/task.ts";

type Action = NonNullable<FileAction["action"]>;
interface Step {
  readonly input: number;
  readonly secondary?: number;
  readonly output?: number;
  readonly action: { readonly [K in Action["$case"]]?: Record<string, unknown> };
}

describe("FileOpRunner", () => {
  let runner: FileOpRunner;
  let layers: PlainLayers;
  before(() => {
    runner = new FileOpRunner({ threads: 1 });
  });
  after(() => runner[Symbol.asyncDispose]());
  beforeEach(async () => {
    layers = await PlainLayers.create();
  });
  afterEach(async () => {
    assert.equal(layers.open, 0, "views and snapshots left open");
    await layers[Symbol.asyncDispose]();
  });

  const opOf = (steps: readonly Step[]) =>
    Op.encode(
      Op.fromPartial({
        op: {
          $case: "file",
          value: {
            actions: steps.map(({ input, secondary, output, action }) => {
              const [name, fields] = Object.entries(action)[0] ?? [];
              return {
                input,
                secondaryInput: secondary ?? -1,
                output: output ?? -1,
                action: {
                  $case: name,
                  value: { timestamp: -1n, mode: name === "copy" ? -1 : 0o755, ...fields },
                } as Action,
              };
            }),
          },
        },
      }),
    ).finish();
  const run = (steps: readonly Step[], inputs: readonly Ref[], signal?: AbortSignal) =>
    runner.run(
      taskOf("file", { op: opOf(steps), inputs, platform: hostPlatform(), description: "" }),
      runContext(layers, signal === undefined ? {} : { signal }),
    );

  it("makes one layer of a chain", async () => {
    const source = await layers.add((path) => writeFileSync(join(path, "top"), "top\n"));
    const result = await run(
      [
        { input: -1, action: { mkdir: { path: "/d" } } },
        { input: 1, action: { mkfile: { path: "/d/f", mode: 0o4640, data: Buffer.from("f") } } },
        { input: 2, secondary: 0, action: { copy: { src: "/top", dest: "/d/t" } } },
        { input: 3, action: { rm: { path: "/d/f" } } },
        { input: 4, output: 0, action: { symlink: { oldpath: "t", newpath: "/d/s", timestamp: 5n } } },
      ],
      [source],
    );
    assert.deepEqual([result.layers.length, result.outputs.length], [1, 1]);
    const path = layers.path(result.outputs[0] ?? scratchRef);
    assert.deepEqual(readdirSync(join(path, "d")).sort(), ["s", "t"]);
    assert.equal(lstatSync(join(path, "d/s"), { bigint: true }).mtimeNs, 5n);
    assert.equal(result.layers[0]?.description, "fileop target");
  });

  it("takes actions that each use the one before twice", async () => {
    const steps = Array.from({ length: 40 }, (_, i) => ({
      input: i,
      secondary: i,
      ...(i === 39 ? { output: 0 } : {}),
      action: { copy: { src: "/f", dest: `/${i}` } },
    }));
    const source = await layers.add((path) => writeFileSync(join(path, "f"), "f"));
    const { outputs } = await run(steps, [source]);
    assert.equal(readdirSync(layers.path(outputs[0] ?? scratchRef)).length, 41);
  });

  it("has no more snapshots at a time than its threads can work on, however many ops there are", async () => {
    const source = await layers.add((path) => writeFileSync(join(path, "f"), "f"));
    let most = 0;
    const sampled = setInterval(() => {
      most = Math.max(most, layers.open);
    }, 0);
    try {
      const copy = [{ input: -1, secondary: 0, output: 0, action: { copy: { src: "/f", dest: "/g" } } }];
      const all = Array.from({ length: 100 }, () => run(copy, [source]));
      for (const { outputs } of await Promise.all(all)) {
        assert.equal(readFileSync(join(layers.path(outputs[0] ?? scratchRef), "g"), "utf8"), "f");
      }
    } finally {
      clearInterval(sampled);
    }
    // Each has one that it writes and a view of its source.
    assert.ok(most > 0 && most <= 16, `${most} snapshots at a time`);
  });

  it("makes a layer per output, on top of what the action's input is", async () => {
    const base = await layers.add((path) => writeFileSync(join(path, "b"), ""));
    const { outputs, layers: made } = await run(
      [
        { input: 0, output: 1, action: { mkfile: { path: "/1", mode: 0o600 } } },
        { input: 1, output: 0, action: { mkfile: { path: "/2", mode: 0o600 } } },
      ],
      [base],
    );
    assert.equal(made.length, 2);
    const [first, second] = outputs;
    assert.deepEqual(second?.layers, [...base.layers, made[0]?.id]);
    assert.deepEqual(first?.layers, [...base.layers, made[0]?.id, made[1]?.id]);
    assert.deepEqual(readdirSync(layers.path(second ?? scratchRef)).sort(), ["1", "b"]);
    assert.deepEqual(readdirSync(layers.path(first ?? scratchRef)).sort(), ["1", "2", "b"]);
  });

  it("looks names up in the tree that the owner names", async () => {
    const users = await layers.add((path) => {
      mkdirSync(join(path, "etc"));
      writeFileSync(join(path, "etc/passwd"), "app:x:12:34::/:\n");
      writeFileSync(join(path, "etc/group"), "staff:x:50:\n");
    });
    const owner = {
      user: { user: { $case: "byName", value: { name: "app", input: 0 } } },
      group: { user: { $case: "byName", value: { name: "staff", input: 0 } } },
    };
    const { outputs } = await run([{ input: -1, output: 0, action: { mkdir: { path: "/d", owner } } }], [users]);
    const { uid, gid } = lstatSync(join(layers.path(outputs[0] ?? scratchRef), "d"));
    assert.deepEqual([uid, gid], [12, 50]);
  });

  for (const [what, steps, message] of [
    ["no output", [{ input: -1, action: { mkdir: { path: "/d" } } }], "no outputs specified"],
    [
      "an input that is not there",
      [{ input: 7, output: 0, action: { mkdir: {} } }],
      "invalid input index 7, 1 provided",
    ],
    ["a loop", [{ input: 0, output: 0, action: { mkdir: {} } }], "loop from index 0"],
    [
      "an output twice",
      [
        { input: -1, output: 0, action: { mkdir: { path: "/a" } } },
        { input: -1, output: 0, action: { mkdir: { path: "/b" } } },
      ],
      "duplicate output 0",
    ],
    ["a gap in the outputs", [{ input: -1, output: 1, action: { mkdir: { path: "/a" } } }], "missing output index 0"],
    [
      "a missing parent",
      [{ input: -1, output: 0, action: { mkdir: { path: "/p/q" } } }],
      "mkdir /p/q: no such file or directory",
    ],
    ["the root's removal", [{ input: -1, output: 0, action: { rm: { path: "/" } } }], "rmPath: invalid empty path"],
    [
      "a wildcard without a match",
      [{ input: -1, output: 0, action: { copy: { src: "/n*", dest: "/", allowWildcard: true } } }],
      "/n* not found",
    ],
    [
      "an owner from nowhere",
      [
        {
          input: -1,
          output: 0,
          action: {
            mkdir: { path: "/d", owner: { user: { user: { $case: "byName", value: { name: "x", input: -1 } } } } },
          },
        },
      ],
      "invalid user index: -1",
    ],
  ] as const) {
    it(`refuses ${what}`, async () => {
      await assert.rejects(run(steps, []), { code: 2, message });
    });
  }

  describe("when an action fails", () => {
    const failure = async (steps: readonly Step[], inputs: readonly Ref[], signal?: AbortSignal) => {
      const error = await run(steps, inputs, signal).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      assert.ok(error instanceof StepFailedError, String(error));
      return error.state;
    };
    const mkdir = { input: -1, action: { mkdir: { path: "/d" } } };

    it("keeps what was written until then, and names the action of the output", async () => {
      const {
        action,
        layers: made,
        results,
      } = await failure(
        [
          mkdir,
          { input: 0, action: { mkfile: { path: "/no/f", data: Buffer.from("f") } } },
          { input: 1, output: 0, action: { mkdir: { path: "/e" } } },
        ],
        [],
      );
      assert.deepEqual([action, made.length], [2, 1]);
      const [before, failed, after] = results;
      assert.deepEqual([before, after], [null, null]);
      assert.deepEqual(readdirSync(layers.path(failed ?? scratchRef)), ["d"]);
    });

    it("keeps what it was to copy from, when that is no layer yet", async () => {
      const base = await layers.add(() => {});
      const { results, layers: made } = await failure(
        [mkdir, { input: 0, secondary: 1, output: 0, action: { copy: { src: "/missing", dest: "/x" } } }],
        [base],
      );
      assert.equal(made.length, 2);
      const [source, target] = results;
      assert.deepEqual(readdirSync(layers.path(source ?? scratchRef)), ["d"]);
      assert.deepEqual(target?.layers.slice(0, 1), base.layers);
    });
  });

  it("copies with patterns, modes, links and times", async () => {
    const source = await layers.add((path) =>
      materialize(
        [
          { path: "dir/a.txt", type: "file", content: "a", mode: "0600", mtime: [7, 123456789] },
          { path: "dir/hard.txt", type: "hardlink", link: "dir/a.txt" },
          { path: "dir/b.md", type: "file" },
          { path: "dir/sub/c.txt", type: "file", uid: 3, gid: 4 },
          { path: "ln", type: "symlink", link: "dir" },
        ],
        path,
      ),
    );
    const { outputs } = await run(
      [
        {
          input: -1,
          secondary: 0,
          output: 0,
          action: {
            copy: {
              src: "/ln",
              dest: "/x/y",
              followSymlink: true,
              dirCopyContents: true,
              createDestPath: true,
              includePatterns: ["**/*.txt"],
              modeStr: "go+r",
            },
          },
        },
      ],
      [source],
    );
    const path = join(layers.path(outputs[0] ?? scratchRef), "x/y");
    const file = lstatSync(join(path, "a.txt"), { bigint: true });
    assert.deepEqual([file.mode & 0o7777n, file.mtimeNs, file.nlink], [0o644n, 7_123_456_789n, 2n]);
    assert.deepEqual(readdirSync(path).sort(), ["a.txt", "hard.txt", "sub"]);
    assert.equal(lstatSync(join(path, "sub/c.txt")).uid, 3);
  });

  const unpack = (source: Ref, src: string, owner?: Record<string, unknown>) => {
    const copy = {
      src,
      dest: "/u/",
      allowWildcard: true,
      createDestPath: true,
      attemptUnpackDockerCompatibility: true,
    };
    const action = { copy: owner === undefined ? copy : { ...copy, owner } };
    return run([{ input: -1, secondary: 0, output: 0, action }], [source]);
  };

  it("unpacks archives and copies the rest", async () => {
    const source = await layers.add((path) => {
      materialize([{ path: "in/f", type: "file", content: "content", uid: 3, mtime: [9, 0] }], path);
      for (const [name, flag] of [
        ["z.tgz", "-z"],
        ["plain.tar", "-h"],
      ] as const) {
        execFileSync("tar", [
          flag,
          "--transform",
          `s,^,${name}.d/,`,
          "-cf",
          join(path, name),
          "-C",
          join(path, "in"),
          "f",
        ]);
      }
      writeFileSync(join(path, "not.gz"), Buffer.from([0x1f, 0x8b, 8, 0, 1, 2, 3]));
      writeFileSync(join(path, "empty"), "");
      symlinkSync("z.tgz", join(path, "link"));
    });
    const { outputs } = await unpack(source, "/*");
    const path = join(layers.path(outputs[0] ?? scratchRef), "u");
    assert.deepEqual(readdirSync(path).sort(), ["empty", "in", "not.gz", "plain.tar.d", "z.tgz.d"]);
    const file = lstatSync(join(path, "z.tgz.d/f"));
    assert.deepEqual([file.uid, file.mtimeMs, file.size], [3, 9000, 7]);

    const owned = await unpack(source, "/z.tgz", { user: { user: { $case: "byID", value: 9 } } });
    const target = join(layers.path(owned.outputs[0] ?? scratchRef), "u");
    assert.deepEqual(
      [target, join(target, "z.tgz.d"), join(target, "z.tgz.d/f")].map((at) => lstatSync(at).uid),
      [9, 0, 9],
    );
  });

  it("keeps a hostile archive inside its directory", async () => {
    const victim = join(layers.root, "victim");
    const header = (name: string, type: string, linkname = "", size = 0) =>
      encodeTarHeader(tarHeader({ name: byteString(name), type, linkname: byteString(linkname), mode: 0o644, size }));
    const block = Buffer.alloc(512);
    block.write("pwned");
    const source = await layers.add((path) =>
      writeFileSync(
        join(path, "evil.tar"),
        Buffer.concat([
          header("esc", TarType.Symlink, layers.root),
          header("esc/victim", TarType.File, "", 5),
          block,
          header("../../../../victim", TarType.File, "", 5),
          block,
          header("hard", TarType.HardLink, "../../victim"),
          tarTrailer,
        ]),
      ),
    );
    const { outputs } = await unpack(source, "/evil.tar");
    const path = join(layers.path(outputs[0] ?? scratchRef), "u");
    assert.equal(existsSync(victim), false);
    assert.equal(readFileSync(join(path, "victim"), "utf8"), "pwned");
    assert.equal(readFileSync(join(path, layers.root, "victim"), "utf8"), "pwned");
    assert.equal(lstatSync(join(path, "hard")).nlink, 2);
  });

  it("keeps holes of a sparse file", async () => {
    const source = await layers.add((path) => execFileSync("truncate", ["-s", "32M", join(path, "sparse")]));
    const { outputs } = await run(
      [{ input: -1, secondary: 0, output: 0, action: { copy: { src: "/sparse", dest: "/s" } } }],
      [source],
    );
    const stats = lstatSync(join(layers.path(outputs[0] ?? scratchRef), "s"));
    assert.equal(stats.size, 32 << 20);
    assert.ok(stats.blocks < 100, `${stats.blocks} blocks`);
  });

  it("leaves nothing behind when aborted", async () => {
    const signal = AbortSignal.abort(new Error("enough"));
    await assert.rejects(run([{ input: -1, output: 0, action: { mkdir: { path: "/d" } } }], [], signal), /enough/);
    assert.deepEqual(readdirSync(layers.root), ["empty"]);
  });
});
