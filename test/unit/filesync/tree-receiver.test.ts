import assert from "node:assert/strict";
import { existsSync, lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { encodeData, encodeStatPacket } from "../../../src/filesync/packet.ts";
import { TreeReceiver } from "../../../src/filesync/tree-receiver.ts";
import { type FileStat, GoMode } from "../../../src/filesystem/index.ts";

const dir = (GoMode.dir | 0o755) >>> 0;
const link = (GoMode.symlink | 0o777) >>> 0;
const stat = (path: string, rest: Partial<FileStat> = {}): FileStat => ({
  path,
  mode: 0o644,
  uid: 0,
  gid: 0,
  size: 0,
  modTime: 1_000_000_001n,
  linkname: "",
  devmajor: 0,
  devminor: 0,
  ...rest,
});

describe("TreeReceiver", () => {
  let base = "";
  beforeEach(() => {
    base = mkdtempSync(join(tmpdir(), "receive-"));
  });
  afterEach(() => rmSync(base, { recursive: true, force: true }));

  const receive = (
    receiver: TreeReceiver,
    entries: readonly FileStat[],
    data: Readonly<Record<string, string>> = {},
  ) => {
    for (const entry of entries) receiver.push(encodeStatPacket(entry));
    receiver.push(encodeStatPacket(undefined));
    const asked = receiver.takeRequests().map((id) => entries[id]?.path ?? "");
    for (const path of asked) {
      const id = entries.findIndex((entry) => entry.path === path);
      receiver.push(encodeData(id, Buffer.from(data[path] ?? "")));
      receiver.push(encodeData(id, new Uint8Array(0)));
    }
    assert.equal(receiver.complete, true);
    return { asked, ...receiver.finish() };
  };
  const fresh = (name: string) => mkdtempSync(join(base, name));

  it("writes what it is told, links and directory times last", () => {
    const root = fresh("a");
    const entries = [
      stat("d", { mode: (GoMode.dir | GoMode.setgid | 0o500) >>> 0, gid: 7, modTime: 5n }),
      stat("d/f", { mode: (GoMode.setuid | 0o755) >>> 0, uid: 1, gid: 2, size: 3 }),
      stat("d/h", { mode: (GoMode.setuid | 0o755) >>> 0, uid: 1, gid: 2, size: 3, linkname: "d/f" }),
      stat("l", { mode: link, linkname: "/x" }),
    ];
    const result = receive(new TreeReceiver({ root, differ: "metadata" }), entries, { "d/f": "abc" });
    assert.deepEqual(result.asked, ["d/f"]);
    const file = lstatSync(join(root, "d/f"), { bigint: true });
    assert.deepEqual(
      [file.mode & 0o7777n, file.uid, file.gid, file.nlink, file.mtimeNs],
      [0o4755n, 1n, 2n, 2n, 1000000001n],
    );
    const directory = lstatSync(join(root, "d"), { bigint: true });
    assert.deepEqual([directory.mode & 0o7777n, directory.gid, directory.mtimeNs], [0o2500n, 7n, 5n]);
    assert.equal(result.entries[1]?.digest, result.entries[2]?.digest);
  });

  for (const [what, entries, message] of [
    ["a path above the root", [stat("../x")], /escape check/],
    ["the root itself", [stat(".")], /escape check/],
    ["an absolute path", [stat("/x")], /absolute path/],
    ["an unclean path", [stat("a//b")], /unclean path/],
    ["a file below a link", [stat("l", { mode: link, linkname: "/etc" }), stat("l/x")], /out of order/],
    ["a file without its directory", [stat("d/x")], /out of order/],
    ["the same name twice", [stat("x"), stat("x")], /out of order/],
    ["names out of order", [stat("b"), stat("a")], /out of order/],
    ["a link to what was not sent", [stat("h", { linkname: "../../etc/passwd" })], /invalid link h to unknown path/],
    ["a link to a symlink", [stat("a", { mode: link, linkname: "x" }), stat("b", { linkname: "a" })], /unknown path/],
  ] as const) {
    it(`refuses ${what}`, () => {
      const receiver = new TreeReceiver({ root: fresh("hostile"), differ: "metadata" });
      assert.throws(() => {
        for (const entry of entries) receiver.push(encodeStatPacket(entry));
      }, message);
      receiver.abandon();
    });
  }

  it("refuses data nobody asked for", () => {
    const receiver = new TreeReceiver({ root: fresh("x"), differ: "none" });
    assert.throws(() => receiver.push(encodeData(3, Buffer.from("x"))), { message: "invalid file request 3" });
  });

  const tree = [stat("a", { mode: dir }), stat("a/f", { size: 1 }), stat("b", { size: 2 }), stat("c", { size: 1 })];
  const content = { "a/f": "f", b: "bb", c: "c" };
  const earlier = () => {
    const directory = fresh("first");
    const { entries } = receive(new TreeReceiver({ root: directory, differ: "metadata" }), tree, content);
    return { directory, entries };
  };

  it("writes nothing when nothing changed but a directory's time", () => {
    const previous = earlier();
    const root = fresh("second");
    const [first, ...rest] = tree;
    const result = receive(new TreeReceiver({ root, previous, differ: "metadata" }), [
      { ...(first as FileStat), modTime: 9n },
      ...rest,
    ]);
    assert.equal(result.changed, false);
    assert.deepEqual([result.asked, readdirSync(root)], [[], []]);
    assert.deepEqual(result.entries, previous.entries);
  });

  for (const [what, entries, asked] of [
    ["a changed file", tree.map((entry) => (entry.path === "b" ? { ...entry, modTime: 7n } : entry)), ["b"]],
    ["a new file", [...tree, stat("d", { size: 1 })], ["d"]],
    ["a file that is gone", tree.filter(({ path }) => path !== "c"), []],
    ["a directory that is gone", tree.filter(({ path }) => !path.startsWith("a")), []],
    ["a directory that became a file", [stat("a", { size: 1 }), ...tree.slice(2)], ["a"]],
    ["an owner", tree.map((entry) => (entry.path === "a/f" ? { ...entry, uid: 5 } : entry)), ["a/f"]],
  ] as const) {
    it(`asks only for what differs: ${what}`, () => {
      const previous = earlier();
      const root = fresh("second");
      const receiver = new TreeReceiver({ root, previous, differ: "metadata" });
      const result = receive(receiver, entries, { a: "A", b: "BB", d: "d", "a/f": "f" });
      assert.equal(result.changed, true);
      assert.deepEqual(result.asked, asked);
      assert.deepEqual(
        result.entries.map((entry) => entry.stat.path),
        entries.map((entry) => entry.path),
      );
      const whole = receive(new TreeReceiver({ root: fresh("third"), differ: "metadata" }), entries, {
        ...content,
        ...(asked.includes("b" as never) ? { b: "BB" } : {}),
        a: "A",
        d: "d",
      });
      assert.deepEqual(result.entries, whole.entries);
      for (const { path, mode } of entries) assert.ok(mode === dir || existsSync(join(root, path)));
    });
  }

  it("shares unchanged files with the earlier tree", () => {
    const previous = earlier();
    const root = fresh("second");
    receive(new TreeReceiver({ root, previous, differ: "metadata" }), tree.slice(0, 3));
    assert.equal(lstatSync(join(root, "b")).ino, lstatSync(join(previous.directory, "b")).ino);
  });

  it("takes everything with differ none", () => {
    const root = fresh("second");
    const result = receive(new TreeReceiver({ root, previous: earlier(), differ: "none" }), tree, content);
    assert.deepEqual(result.asked, ["a/f", "b", "c"]);
    assert.equal(result.changed, false);
  });

  it("compares by content with differ none", () => {
    const other = { ...content, b: "BB" };
    const result = receive(
      new TreeReceiver({ root: fresh("second"), previous: earlier(), differ: "none" }),
      tree,
      other,
    );
    assert.equal(result.changed, true);
  });

  it("writes the list anew when only an entry changed that is not taken", () => {
    const metadataOnly = { exceptions: ["a/*"] };
    const directory = fresh("first");
    const options = { differ: "metadata", metadataOnly } as const;
    const { entries } = receive(new TreeReceiver({ root: directory, ...options }), tree, content);
    const root = fresh("second");
    const result = receive(new TreeReceiver({ root, previous: { directory, entries }, ...options }), [
      ...tree,
      stat("d", { size: 1 }),
    ]);
    assert.deepEqual([result.changed, result.asked], [true, []]);
    assert.equal(readFileSync(join(root, ".fsutil-metadata"), "latin1").includes("\x01d"), true);
  });

  it("writes only the list, and exceptions with their directories", () => {
    const root = fresh("meta");
    const receiver = new TreeReceiver({ root, differ: "metadata", metadataOnly: { exceptions: ["a/*"] } });
    const result = receive(receiver, tree, content);
    assert.deepEqual(result.asked, ["a/f"]);
    assert.deepEqual(readdirSync(root).sort(), [".fsutil-metadata", "a"]);
    const list = readFileSync(join(root, ".fsutil-metadata"));
    let entries = 0;
    for (let at = 0; at < list.length; at += 4 + list.readUInt32LE(at)) entries++;
    assert.equal(entries, tree.length);
  });

  it("does not touch what is beside the root", () => {
    writeFileSync(join(base, "beside"), "kept");
    receive(new TreeReceiver({ root: fresh("x"), differ: "none" }), [stat("beside", { size: 3 })], { beside: "new" });
    assert.equal(readFileSync(join(base, "beside"), "utf8"), "kept");
  });
});
