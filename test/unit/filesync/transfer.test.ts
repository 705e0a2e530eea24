import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import {
  decodeCallMetadata,
  encodeCallMetadata,
  FileReceiver,
  FileSender,
  type ReceiveOptions,
  type SourceTree,
} from "../../../src/filesync/index.ts";
import { bytePath, statFile, walkTree } from "../../../src/filesystem/index.ts";
import { duplexPair } from "../../helpers/duplex-pair.ts";
import { materialize } from "../../helpers/materialize.ts";

describe("file transfer", () => {
  let base = "";
  let receiver: FileReceiver;
  let sender: FileSender;
  before(() => {
    receiver = new FileReceiver({ threads: 1 });
    sender = new FileSender({ threads: 2 });
  });
  after(async () => {
    await receiver[Symbol.asyncDispose]();
    await sender[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    base = mkdtempSync(join(tmpdir(), "transfer-"));
    mkdirSync(join(base, "to"));
  });
  afterEach(() => rmSync(base, { recursive: true, force: true }));

  const transfer = async (trees: readonly SourceTree[], options: Partial<ReceiveOptions> = {}) => {
    const { client, server } = duplexPair();
    const sending = sender.send(server, trees).then(
      () => server.end(),
      (error: Error) => server.end(error),
    );
    const receive: ReceiveOptions = { directory: join(base, "to"), differ: "metadata", ...options };
    try {
      return await receiver.receive(client, receive);
    } finally {
      await sending;
    }
  };
  const describeTree = (root: string) => {
    const found: string[] = [];
    walkTree(bytePath(root), {}, (stat) => {
      const time = stat.mode > 0x8000_0000 ? "" : ` ${stat.modTime}`;
      const xattrs = [...(stat.xattrs ?? [])].map(([name, value]) => `${name}=${Buffer.from(value).toString("hex")}`);
      found.push(`${stat.path} ${stat.mode} ${stat.uid}:${stat.gid} ${stat.size}${time} ${stat.linkname} ${xattrs}`);
      return undefined;
    });
    return found;
  };

  it("makes an exact copy", async () => {
    const from = join(base, "from");
    materialize(
      [
        { path: "a-b", type: "file", content: "1" },
        { path: "a/b/c", type: "file", content: "2", mode: "4711", uid: 5, gid: 6, mtime: [77, 123456789] },
        { path: "big", type: "file", repeat: "0123456789abcdef", size: 3_000_001 },
        { path: "hard", type: "hardlink", link: "big" },
        { path: "ü日本", type: "file", xattrs: { "user.bin": "AP8B" } },
        { path: "fifo", type: "fifo" },
        { path: "null", type: "char", dev: [1, 3], mode: "0666" },
        { path: "link", type: "symlink", link: "nowhere", mtime: [1, 1] },
        { path: "old", type: "file", mtime: -3 },
      ],
      from,
    );
    const { entries, digests } = await transfer([{ directory: from, prefix: "" }]);
    assert.equal(entries, 11);
    assert.equal(digests.size, 11);
    assert.deepEqual(describeTree(join(base, "to")), describeTree(from));
    assert.deepEqual(readFileSync(join(base, "to/big")), readFileSync(join(from, "big")));
  });

  it("sends many small files", async () => {
    const from = join(base, "from");
    const files = Array.from({ length: 1000 }, (_, i) => ({
      path: `d${i % 7}/f${i}`,
      type: "file" as const,
      content: "x".repeat(i % 50),
    }));
    materialize(files, from);
    const { entries } = await transfer([{ directory: from, prefix: "" }]);
    assert.equal(entries, 1007);
    execFileSync("diff", ["-r", from, join(base, "to")]);
  });

  it("lays trees side by side, with extra files and one time", async () => {
    for (const name of ["one", "two"]) {
      materialize(
        [
          { path: "f", type: "file", content: name },
          { path: "h", type: "hardlink", link: "f" },
          { path: "abs", type: "symlink", link: "/f" },
        ],
        join(base, name),
      );
    }
    const extra = [{ path: "e.json", data: Buffer.from("{}"), timeNs: 5n }];
    await transfer([
      { directory: join(base, "two"), prefix: "linux_b", timeNs: 9n },
      { directory: join(base, "one"), prefix: "linux_a", timeNs: 9n, extra },
    ]);
    const to = join(base, "to");
    assert.equal(readFileSync(join(to, "linux_a/h"), "utf8"), "one");
    assert.equal(readFileSync(join(to, "linux_b/f"), "utf8"), "two");
    assert.equal(statFile(join(to, "linux_a/abs"), "").linkname, "/linux_a/f");
    assert.equal(statFile(join(to, "linux_b"), "").modTime, 9n);
    const json = statFile(join(to, "linux_a/e.json"), "");
    assert.deepEqual([json.mode, json.modTime, readFileSync(join(to, "linux_a/e.json"), "utf8")], [0o600, 5n, "{}"]);
  });

  it("merges trees without a directory of their own and refuses clashes", async () => {
    materialize([{ path: "d/x", type: "file" }], join(base, "one"));
    materialize([{ path: "d/a", type: "file" }], join(base, "two"));
    const trees = ["one", "two"].map((name) => ({ directory: join(base, name), prefix: "", label: name }));
    await transfer(trees);
    assert.deepEqual(
      describeTree(join(base, "to")).map((line) => line.split(" ")[0]),
      ["d", "d/a", "d/x"],
    );
    materialize([{ path: "d/x", type: "file" }], join(base, "two"));
    await assert.rejects(sender.check(trees, new AbortController().signal), {
      message: "cannot overwrite d/x from one with two when split option is disabled",
    });
  });

  it("tells the receiver what the sender failed on", async () => {
    await assert.rejects(transfer([{ directory: base, prefix: "", excludePatterns: ["[a"] }]), {
      message: "error from sender: invalid excludepatterns: [[a]: syntax error in pattern",
    });
  });

  it("tells the sender what the receiver failed on", async () => {
    materialize([{ path: "f", type: "file", content: "x" }], join(base, "from"));
    const { client, server } = duplexPair();
    const sending = assert.rejects(sender.send(server, [{ directory: join(base, "from"), prefix: "" }]), {
      message: /^error from receiver: .*no such file/,
    });
    const receiving = receiver.receive(client, { directory: join(base, "missing"), differ: "none" });
    await assert.rejects(receiving, /no such file/);
    await sending;
  });

  it("ends when aborted", async () => {
    const abort = new AbortController();
    const { client, server } = duplexPair();
    const receiving = receiver.receive(client, { directory: join(base, "to"), differ: "none", signal: abort.signal });
    abort.abort(new Error("enough"));
    server.end(new Error("cut"));
    await assert.rejects(receiving, { message: /enough|cut/ });
  });

  it("escapes metadata that is not ASCII", () => {
    const options = { a: ["x y", "ü+"], b: ["*.go"] };
    const metadata = encodeCallMetadata(options);
    assert.deepEqual(metadata, { a: ["x+y", "%C3%BC%2B"], "a-encoded": ["1"], b: ["*.go"] });
    const { a, b } = decodeCallMetadata(metadata);
    assert.deepEqual({ a, b }, options);
  });
});
