import { mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Ingest, Snapshotter } from "../../src/core/seams/snapshotter.ts";

/** The part of a Snapshotter that sources use, over a directory of layers. */
export function ingestStore(root: string): Snapshotter {
  const none = () => {
    throw new Error("not used");
  };
  const ingest = async (): Promise<Ingest> => {
    const path = mkdtempSync(join(root, "ingest-"));
    return {
      path,
      commit: async (id) => {
        renameSync(path, join(root, id));
        return { id, sizeBytes: 1 };
      },
      [Symbol.asyncDispose]: async () => rmSync(path, { recursive: true, force: true }),
    };
  };
  return {
    name: "plain",
    has: (id) => readdirSync(root).includes(id),
    layerPath: (id) => join(root, id),
    ingest,
    view: none,
    prepare: none,
    list: () => [],
    remove: none,
  };
}
