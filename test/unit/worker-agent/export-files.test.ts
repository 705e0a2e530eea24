import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { BytesMessage } from "../../../src/api/gen/filesync.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";
import { type Ref, scratchRef } from "../../../src/core/values/layer.ts";
import type { ExportRoot, TaskBody } from "../../../src/core/values/task.ts";
import { FileReceiver } from "../../../src/filesync/index.ts";
import { AsyncQueue } from "../../../src/util/async-queue.ts";
import { ExportFilesRunner } from "../../../src/worker-agent/ops/export-files.ts";
import { type FakeMethod, FakeSession, FakeSessionGroup } from "../../helpers/fake-session.ts";
import { materialize } from "../../helpers/materialize.ts";
import { PlainLayers } from "../../helpers/plain-layers.ts";
import { runContext, taskOf } from "../../helpers/task.ts";

const method = "/moby.filesync.v1.FileSend/DiffCopy";

describe("ExportFilesRunner", () => {
  let runner: ExportFilesRunner;
  let receiver: FileReceiver;
  let layers: PlainLayers;
  let ref: Ref;
  let calls: Readonly<Record<string, readonly string[]>>[] = [];
  before(() => {
    runner = new ExportFilesRunner({ threads: 1 });
    receiver = new FileReceiver({ threads: 1 });
  });
  after(async () => {
    await runner[Symbol.asyncDispose]();
    await receiver[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    calls = [];
    layers = await PlainLayers.create();
    ref = await layers.add((path) =>
      materialize(
        [
          { path: "bin/app", type: "file", repeat: "0123456789", size: 5_000_001, mode: "4755", uid: 7 },
          { path: "bin/link", type: "hardlink", link: "bin/app" },
          { path: "etc", type: "symlink", link: "/bin" },
          { path: "ü", type: "file", content: "u", xattrs: { "user.x": "AP8=" } },
        ],
        path,
      ),
    );
  });
  afterEach(async () => {
    assert.equal(layers.open, 0);
    await layers[Symbol.asyncDispose]();
  });

  /** Each call gets a directory of its own below `out`. */
  const toDirectories: FakeMethod = async function* (requests, metadata) {
    const directory = join(layers.root, `out${calls.length}`);
    calls.push(metadata);
    mkdirSync(directory);
    const answers = new AsyncQueue<Uint8Array>(16);
    const receiving = receiver
      .receive(
        { send: async (message) => void (await answers.push(message)), messages: requests },
        { directory, differ: "none" },
      )
      .then(
        () => answers.end(),
        (error: unknown) => answers.fail(error),
      );
    yield* answers;
    await receiving;
  };
  const toFile: FakeMethod = async function* (requests, metadata) {
    calls.push(metadata);
    const chunks: Uint8Array[] = [];
    for await (const message of requests) {
      assert.ok(message.length <= 3 << 20);
      chunks.push(BytesMessage.decode(message).data);
    }
    writeFileSync(join(layers.root, "out.tar"), Buffer.concat(chunks));
    yield* [];
  };
  const refuse: FakeMethod = async function* () {
    yield* [];
    throw new BuildError(Code.AlreadyExists, "target already exists");
  };
  const run = (
    serve: FakeMethod,
    roots: readonly Partial<ExportRoot>[],
    rest: Partial<TaskBody<"export.files">> = {},
  ) => {
    const context = runContext(layers, { sessions: new FakeSessionGroup(new FakeSession("s", { [method]: serve })) });
    const body = {
      sessionId: "s",
      exporterId: 3,
      metadata: {},
      form: "directory" as const,
      multiPlatform: false,
      roots: roots.map((root) => ({ ref, prefix: "", extra: [], ...root })),
      ...rest,
    };
    return runner.run(taskOf("export.files", body), context).then((result) => ({ result, lines: context.lines }));
  };

  it("copies a tree into the client's directory", async () => {
    const { result, lines } = await run(toDirectories, [{}], { metadata: { k: "v" } });
    const out = join(layers.root, "out0");
    assert.deepEqual(readFileSync(join(out, "bin/app")), readFileSync(join(layers.path(ref), "bin/app")));
    assert.equal(lstatSync(join(out, "bin/link")).nlink, 2);
    assert.deepEqual(calls[0], { "buildkit-attachable-exporter-id": ["3"], "exporter-md-k": ["v"] });
    assert.equal(result.files, 5);
    assert.ok(result.bytes > 5_000_000);
    assert.ok(lines.some((line) => line.id === "copying files" && line.completedAt !== undefined));
  });

  it("gives each platform a transfer and a directory of its own", async () => {
    const { lines } = await run(toDirectories, [
      { prefix: "linux_amd64" },
      { prefix: "linux_arm64", ref: scratchRef, extra: [{ path: "p.json", data: Buffer.from("{}") }] },
    ]);
    const found = calls.flatMap((_, i) => readdirSync(join(layers.root, `out${i}`)));
    assert.deepEqual(found.sort(), ["linux_amd64", "linux_arm64"]);
    assert.ok(lines.some((line) => line.id === "copying files linux/amd64"));
  });

  it("sends all platforms at once when the client can tell", async () => {
    await run(toDirectories, [{ prefix: "linux_b" }, { prefix: "linux_a" }], { multiPlatform: true, epoch: 5 });
    assert.equal(calls.length, 1);
    assert.deepEqual(calls[0]?.["buildkit-exporter-multi-platform"], ["1"]);
    assert.deepEqual(readdirSync(join(layers.root, "out0")), ["linux_a", "linux_b"]);
    assert.equal(lstatSync(join(layers.root, "out0/linux_a/bin/app")).mtimeMs, 5000);
  });

  it("refuses two trees with the same file in one place", async () => {
    await assert.rejects(run(toDirectories, [{}, {}]), /cannot overwrite bin\/app from/);
    assert.equal(calls.length, 0);
  });

  it("writes a tar", async () => {
    const extra = [{ path: "a.json", data: Buffer.from("{}") }];
    const { result, lines } = await run(toFile, [{ extra }], { form: "tar", epoch: 1_000 });
    const tar = join(layers.root, "out.tar");
    assert.equal(lstatSync(tar).size, result.bytes);
    const listing = execFileSync("tar", ["--numeric-owner", "--full-time", "-tvf", tar], {
      env: { ...process.env, TZ: "UTC", LC_ALL: "C.UTF-8" },
    });
    const entries = listing.toString().trim().split("\n");
    assert.deepEqual(
      entries.map((line) => line.replace(/ +/g, " ")),
      [
        "-rw------- 0/0 2 1970-01-01 00:16:40 a.json",
        "drwxr-xr-x 0/0 0 1970-01-01 00:16:40 bin/",
        "-rwsr-xr-x 7/0 5000001 1970-01-01 00:16:40 bin/app",
        "hrwsr-xr-x 7/0 0 1970-01-01 00:16:40 bin/link link to bin/app",
        "lrwxrwxrwx 0/0 0 1970-01-01 00:16:40 etc -> /bin",
        "-rw-r--r-- 0/0 1 1970-01-01 00:16:40 ü",
      ],
    );
    assert.deepEqual(
      lines.map((line) => line.id),
      ["sending tarball", "sending tarball"],
    );
  });

  it("writes an empty tar of scratch", async () => {
    const { result } = await run(toFile, [{ ref: scratchRef }], { form: "tar" });
    assert.equal(result.bytes, 1024);
  });

  it("passes on what the client says", async () => {
    await assert.rejects(run(refuse, [{}], { form: "tar" }), {
      code: Code.AlreadyExists,
      message: "target already exists",
    });
    await assert.rejects(run(refuse, [{}]), { code: Code.AlreadyExists });
  });
});
