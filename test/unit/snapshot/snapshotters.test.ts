import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import type { LayerId } from "../../../src/core/values/layer.ts";
import { LayerWorkers, openSnapshotter } from "../../../src/snapshot/index.ts";
import { mountsBelow } from "../../../src/util/sys/index.ts";
import { runSnapshotterSuite } from "../../conformance/snapshotter-suite.ts";
import { collectWarnings } from "../../helpers/warnings.ts";

const workers = new LayerWorkers();
after(() => workers[Symbol.asyncDispose]());

async function withRoot(use: (root: string) => Promise<void>): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), "snapshotter-"));
  try {
    await use(root);
    assert.deepEqual(mountsBelow(root), []);
  } finally {
    rmSync(root, { recursive: true });
  }
}

for (const name of ["overlayfs", "native"] as const) {
  runSnapshotterSuite(name, (use) =>
    withRoot(async (root) => {
      await using snapshotter = await openSnapshotter(root, name, { workers });
      assert.equal(snapshotter.name, name);
      await use(snapshotter);
      assert.deepEqual(readdirSync(join(root, "tmp")), []);
    }),
  );

  describe(`openSnapshotter: ${name}`, () => {
    it("opens without the layers whose metadata is damaged, and says which", () =>
      withRoot(async (root) => {
        const ids = ["empty", "cut", "other", "missing", "good"] as LayerId[];
        {
          await using snapshotter = await openSnapshotter(root, name, { workers });
          for (const id of ids) await (await snapshotter.prepare({ layers: [] })).commit(id);
        }
        const file = (id: string) => join(root, "layers", id, "layer.json");
        writeFileSync(file("empty"), "");
        writeFileSync(file("cut"), readFileSync(file("cut"), "utf8").slice(0, -5));
        writeFileSync(file("other"), '{"sizeBytes":"many"}');
        rmSync(file("missing"));
        const { logger, warnings } = collectWarnings();
        await using snapshotter = await openSnapshotter(root, name, { workers, logger });
        assert.deepEqual(
          [...snapshotter.list()].map(({ id }) => id),
          ["good"],
        );
        const damaged = ids.slice(0, -1).map((id) => join(root, "layers", id));
        assert.deepEqual(warnings.map(({ path }) => path).sort(), damaged.sort());
        assert.deepEqual(readdirSync(join(root, "layers")), ["good"]);
        // The name is free again.
        await (await snapshotter.prepare({ layers: [] })).commit("cut" as LayerId);
      }));

    it("finds its layers again and cleans up after a process that was killed", () =>
      withRoot(async (root) => {
        const killed = await openSnapshotter(root, name, { workers });
        const first = await killed.prepare({ layers: [] });
        writeFileSync(join(first.path, "f"), "kept");
        await first.commit("kept" as LayerId);
        const stack = { layers: ["kept" as LayerId] };
        const view = await killed.view(stack);
        const active = await killed.prepare(stack);
        writeFileSync(join(active.path, "lost"), "");

        await using reopened = await openSnapshotter(root, name, { workers });
        assert.deepEqual(mountsBelow(root), []);
        assert.deepEqual(readdirSync(join(root, "tmp")), []);
        assert.equal(existsSync(view.path), false);
        const [layer] = [...reopened.list()];
        assert.equal(layer?.id, "kept");
        assert.equal(layer?.inUse, false);
        await using again = await reopened.view(stack);
        assert.equal(readFileSync(join(again.path, "f"), "utf8"), "kept");
      }));
  });
}

describe("OverlaySnapshotter", () => {
  it("stacks more layers than overlayfs takes", () =>
    withRoot(async (root) => {
      await using snapshotter = await openSnapshotter(root, "auto", { workers });
      const layers: LayerId[] = [];
      for (let index = 0; index < 520; index++) {
        const ingest = await snapshotter.ingest();
        writeFileSync(join(ingest.path, `f${index}`), "");
        layers.push((await ingest.commit(`deep-${index}` as LayerId)).id);
      }
      await using view = await snapshotter.view({ layers });
      assert.equal(readdirSync(view.path).length, 520);
      await using active = await snapshotter.prepare({ layers });
      rmSync(join(active.path, "f0"));
      await active.commit("top" as LayerId);
      await using top = await snapshotter.view({ layers: [...layers, "top" as LayerId] });
      assert.equal(existsSync(join(top.path, "f0")), false);
      assert.equal(readdirSync(top.path).length, 519);
    }));

  it("gives views of one stack the same mount", () =>
    withRoot(async (root) => {
      await using snapshotter = await openSnapshotter(root, "overlayfs", { workers });
      await using ingest = await snapshotter.ingest();
      const { id } = await ingest.commit("a" as LayerId);
      const views = await Promise.all([1, 2, 3].map(() => snapshotter.view({ layers: [id] })));
      assert.equal(new Set(views.map((view) => view.path)).size, 1);
      assert.equal(mountsBelow(root).length, 1);
      for (const view of views) await view[Symbol.asyncDispose]();
      assert.equal(mountsBelow(root).length, 0);
    }));
});
