import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { BuildError } from "../../src/core/errors/build-error.ts";
import { Code } from "../../src/core/errors/code.ts";
import type { Snapshotter } from "../../src/core/seams/snapshotter.ts";
import type { LayerId } from "../../src/core/values/layer.ts";
import { getXattr, makeDevice, makeNode, setTimes, setXattr } from "../../src/util/sys/index.ts";

const capability = Buffer.from("0100000200040000000000000000000000000000", "hex");

/** What every Snapshotter must do. Needs root. */
export function runSnapshotterSuite(
  name: string,
  withSnapshotter: (use: (snapshotter: Snapshotter) => Promise<void>) => Promise<void>,
) {
  const hasCode = (code: number) => (e: unknown) => e instanceof BuildError && e.code === code;

  /** A stack grown step by step. */
  class Stack {
    readonly layers: LayerId[] = [];
    readonly #snapshotter: Snapshotter;
    readonly #prefix: string;

    constructor(snapshotter: Snapshotter, prefix = "l") {
      this.#snapshotter = snapshotter;
      this.#prefix = prefix;
    }

    async step(change: (root: string) => void): Promise<LayerId> {
      await using active = await this.#snapshotter.prepare(this);
      change(active.path);
      const { id } = await active.commit(`${this.#prefix}${this.layers.length}` as LayerId);
      this.layers.push(id);
      return id;
    }

    async look<T>(use: (root: string) => T): Promise<T> {
      await using view = await this.#snapshotter.view(this);
      return use(view.path);
    }
  }

  const tree = (root: string) => (readdirSync(root, { recursive: true }) as string[]).sort();

  describe(`Snapshotter: ${name}`, () => {
    it("shows an empty directory for scratch", () =>
      withSnapshotter(async (snapshotter) => {
        await using view = await snapshotter.view({ layers: [] });
        assert.deepEqual(readdirSync(view.path), []);
      }));

    it("keeps every kind of file with its owner, mode, times and attributes", () =>
      withSnapshotter(async (snapshotter) => {
        const stack = new Stack(snapshotter);
        const mtimeNs = 1_500_000_000_123_456_789n;
        await stack.step((root) => {
          writeFileSync(join(root, "file"), "text");
          chownSync(join(root, "file"), 3, 4);
          chmodSync(join(root, "file"), 0o4755);
          setXattr(join(root, "file"), "security.capability", capability);
          setXattr(join(root, "file"), "user.binary", Uint8Array.of(0, 255, 10));
          linkSync(join(root, "file"), join(root, "hard"));
          symlinkSync("/no/where", join(root, "link"));
          makeNode(join(root, "char"), 0o020640, makeDevice(7, 300));
          makeNode(join(root, "block"), 0o060640, makeDevice(1000, 70000));
          makeNode(join(root, "fifo"), 0o010600, 0n);
          mkdirSync(join(root, "dir"));
          chmodSync(join(root, "dir"), 0o1777);
          for (const entry of ["file", "link", "dir"]) setTimes(join(root, entry), { atimeNs: mtimeNs, mtimeNs });
        });
        await stack.step((root) => writeFileSync(join(root, "other"), ""));
        await stack.look((root) => {
          const stat = (path: string) => lstatSync(join(root, path), { bigint: true });
          assert.equal(stat("file").mode, 0o104755n);
          assert.deepEqual([stat("file").uid, stat("file").gid], [3n, 4n]);
          assert.deepEqual(Buffer.from(getXattr(join(root, "file"), "security.capability") ?? []), capability);
          assert.deepEqual(getXattr(join(root, "file"), "user.binary"), Uint8Array.of(0, 255, 10));
          assert.equal(stat("hard").ino, stat("file").ino);
          assert.equal(stat("char").rdev, makeDevice(7, 300));
          assert.equal(stat("block").rdev, makeDevice(1000, 70000));
          assert.equal(stat("fifo").mode, 0o010600n);
          assert.equal(stat("dir").mode, 0o041777n);
          for (const entry of ["file", "link", "dir"]) assert.equal(stat(entry).mtimeNs, mtimeNs);
        });
      }));

    it("deletes, replaces and re-creates what lower layers hold", () =>
      withSnapshotter(async (snapshotter) => {
        const stack = new Stack(snapshotter);
        await stack.step((root) => {
          mkdirSync(join(root, "gone/deep"), { recursive: true });
          mkdirSync(join(root, "fresh"));
          mkdirSync(join(root, "file-now"));
          writeFileSync(join(root, "gone/deep/a"), "a");
          writeFileSync(join(root, "fresh/old"), "old");
          writeFileSync(join(root, "dir-now"), "file");
          writeFileSync(join(root, "changed"), "1");
        });
        await stack.step((root) => {
          rmSync(join(root, "gone"), { recursive: true });
          rmSync(join(root, "fresh"), { recursive: true });
          mkdirSync(join(root, "fresh"));
          writeFileSync(join(root, "fresh/new"), "new");
          rmSync(join(root, "file-now"), { recursive: true });
          writeFileSync(join(root, "file-now"), "");
          rmSync(join(root, "dir-now"));
          mkdirSync(join(root, "dir-now"));
          writeFileSync(join(root, "changed"), "2");
        });
        await stack.look((root) => {
          assert.deepEqual(tree(root), ["changed", "dir-now", "file-now", "fresh", "fresh/new"]);
          assert.equal(readFileSync(join(root, "changed"), "utf8"), "2");
          assert.ok(lstatSync(join(root, "dir-now")).isDirectory());
        });
      }));

    it("stores only what a step changed", () =>
      withSnapshotter(async (snapshotter) => {
        const stack = new Stack(snapshotter);
        await stack.step((root) => {
          mkdirSync(join(root, "d/e"), { recursive: true });
          writeFileSync(join(root, "d/e/f"), "f");
          writeFileSync(join(root, "d/same"), "same");
        });
        const id = await stack.step((root) => {
          chmodSync(join(root, "d/same"), 0o600);
          chmodSync(join(root, "d/same"), 0o644);
          writeFileSync(join(root, "d/temporary"), "");
          rmSync(join(root, "d/temporary"));
          writeFileSync(join(root, "d/e/g"), "g");
        });
        assert.deepEqual(tree(snapshotter.layerPath(id)), ["d", "d/e", "d/e/g"]);
      }));

    it("gives on another base what a merge gives: an opaque directory hides its own base's files only", () =>
      withSnapshotter(async (snapshotter) => {
        const base = new Stack(snapshotter, "base");
        await base.step((root) => {
          mkdirSync(join(root, "o"));
          writeFileSync(join(root, "o/mine"), "");
        });
        const change = await base.step((root) => {
          rmSync(join(root, "o"), { recursive: true });
          mkdirSync(join(root, "o"));
          writeFileSync(join(root, "o/new"), "");
        });
        const other = new Stack(snapshotter, "other");
        await other.step((root) => {
          mkdirSync(join(root, "o"));
          writeFileSync(join(root, "o/theirs"), "");
        });
        other.layers.push(change);
        await other.look((root) => assert.deepEqual(tree(root), ["o", "o/new", "o/theirs"]));
      }));

    it("shows no whiteout where there is nothing to delete", () =>
      withSnapshotter(async (snapshotter) => {
        const base = new Stack(snapshotter, "base");
        await base.step((root) => {
          mkdirSync(join(root, "a/b"), { recursive: true });
          writeFileSync(join(root, "a/b/x"), "");
          writeFileSync(join(root, "a/b/y"), "");
        });
        const change = await base.step((root) => rmSync(join(root, "a/b/x")));
        for (const layers of [[change], [change, change]]) {
          await using view = await snapshotter.view({ layers });
          assert.deepEqual(tree(view.path), ["a", "a/b"]);
          await using active = await snapshotter.prepare({ layers });
          assert.deepEqual(tree(active.path), ["a", "a/b"]);
          rmSync(join(active.path, "a"), { recursive: true });
        }
      }));

    it("takes a layer that comes twice", () =>
      withSnapshotter(async (snapshotter) => {
        const one = new Stack(snapshotter, "one");
        const first = await one.step((root) => writeFileSync(join(root, "f"), "1"));
        const two = new Stack(snapshotter, "two");
        const second = await two.step((root) => writeFileSync(join(root, "f"), "2"));
        await using view = await snapshotter.view({ layers: [first, second, first] });
        assert.equal(readFileSync(join(view.path, "f"), "utf8"), "1");
      }));

    it("stacks 200 layers", () =>
      withSnapshotter(async (snapshotter) => {
        const layers: LayerId[] = [];
        for (let index = 0; index < 200; index++) {
          await using ingest = await snapshotter.ingest();
          writeFileSync(join(ingest.path, `f${index}`), "");
          layers.push((await ingest.commit(`deep-${index}` as LayerId)).id);
        }
        await using view = await snapshotter.view({ layers });
        assert.equal(readdirSync(view.path).length, 200);
        await using active = await snapshotter.prepare({ layers });
        writeFileSync(join(active.path, "f0"), "new");
        await active.commit("top" as LayerId);
        assert.deepEqual(readdirSync(snapshotter.layerPath("top" as LayerId)), ["f0"]);
      }));

    it("keeps layers in use from removal", () =>
      withSnapshotter(async (snapshotter) => {
        const stack = new Stack(snapshotter);
        const id = await stack.step((root) => writeFileSync(join(root, "f"), "x"));
        const path = snapshotter.layerPath(id);
        {
          await using _view = await snapshotter.view(stack);
          await using _same = await snapshotter.view(stack);
          assert.equal(await snapshotter.remove(id), false);
          assert.deepEqual(
            [...snapshotter.list()].map((layer) => [layer.id, layer.inUse]),
            [[id, true]],
          );
        }
        {
          await using _active = await snapshotter.prepare(stack);
          assert.equal(await snapshotter.remove(id), false);
        }
        assert.equal(await snapshotter.remove(id), true);
        assert.equal(await snapshotter.remove(id), false);
        assert.equal(existsSync(path), false);
        assert.equal(snapshotter.has(id), false);
        await assert.rejects(snapshotter.view(stack), hasCode(Code.NotFound));
      }));

    it("throws away what is not committed, and commits once", () =>
      withSnapshotter(async (snapshotter) => {
        const ingest = await snapshotter.ingest();
        writeFileSync(join(ingest.path, "f"), "x");
        await ingest[Symbol.asyncDispose]();
        await ingest[Symbol.asyncDispose]();
        assert.equal(existsSync(ingest.path), false);
        await assert.rejects(ingest.commit("late" as LayerId), hasCode(Code.FailedPrecondition));
        const active = await snapshotter.prepare({ layers: [] });
        const { sizeBytes } = await active.commit("once" as LayerId);
        assert.equal(sizeBytes, 0);
        await active[Symbol.asyncDispose]();
        assert.ok(snapshotter.has("once" as LayerId));
        await using again = await snapshotter.ingest();
        await assert.rejects(again.commit("once" as LayerId), hasCode(Code.AlreadyExists));
        await assert.rejects(again.commit("../out" as LayerId), hasCode(Code.InvalidArgument));
        await again.commit("twice" as LayerId);
      }));

    it("does not let a writable snapshot change its base", () =>
      withSnapshotter(async (snapshotter) => {
        const stack = new Stack(snapshotter);
        await stack.step((root) => writeFileSync(join(root, "f"), "base"));
        await using active = await snapshotter.prepare(stack);
        writeFileSync(join(active.path, "f"), "changed");
        await stack.look((root) => assert.equal(readFileSync(join(root, "f"), "utf8"), "base"));
      }));
  });
}
