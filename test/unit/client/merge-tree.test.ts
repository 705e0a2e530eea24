import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { mergeTree } from "../../../src/client/session/merge-tree.ts";

describe("mergeTree()", () => {
  let directory = "";
  let from = "";
  let to = "";
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "merge-"));
    from = join(directory, "from");
    to = join(directory, "to");
    for (const path of [join(from, "dir"), join(to, "dir")]) await mkdir(path, { recursive: true });
    await writeFile(join(from, "dir", "new"), "new");
    await writeFile(join(to, "dir", "old"), "old");
    await writeFile(join(to, "other"), "other");
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  const tree = async () => (await readdir(to, { recursive: true })).sort();

  it("adds to directories and replaces files", async () => {
    await writeFile(join(from, "other"), "replaced");
    await mergeTree(from, to, { deleteOthers: false });
    assert.deepEqual(await tree(), ["dir", "dir/new", "dir/old", "other"]);
    assert.equal(await readFile(join(to, "other"), "utf8"), "replaced");
  });

  it("removes what was not sent when asked to", async () => {
    await mergeTree(from, to, { deleteOthers: true });
    assert.deepEqual(await tree(), ["dir", "dir/new"]);
  });

  it("replaces links instead of writing through them", async () => {
    const outside = join(directory, "outside");
    await mkdir(outside);
    await rm(join(to, "dir"), { recursive: true });
    await symlink(outside, join(to, "dir"));
    await mergeTree(from, to, { deleteOthers: false });
    assert.deepEqual(await readdir(outside), []);
    assert.equal(await readFile(join(to, "dir", "new"), "utf8"), "new");
  });

  it("replaces a directory by a file and the reverse", async () => {
    await writeFile(join(from, "x"), "file");
    await mkdir(join(to, "x", "y"), { recursive: true });
    await mkdir(join(from, "other"));
    await mergeTree(from, to, { deleteOthers: false });
    assert.equal(await readFile(join(to, "x"), "utf8"), "file");
    assert.deepEqual(await readdir(join(to, "other")), []);
  });
});
