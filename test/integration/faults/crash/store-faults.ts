import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { basename, join, relative } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** What a daemon that has just started must have repaired or thrown away in its data directory; empty when all is well. */
export async function storeFaults(root: string): Promise<string[]> {
  const faults: string[] = [];
  for (const directory of ["snapshots/tmp", "mounts", "executor/bundles", "executor/state"]) {
    for (const name of await namesIn(join(root, directory))) faults.push(`left over: ${directory}/${name}`);
  }
  for (const store of ["content", "coordinator/history", "history"]) {
    faults.push(...(await contentFaults(join(root, store))).map((fault) => `${store}: ${fault}`));
  }
  for (const id of await namesIn(join(root, "snapshots/layers"))) {
    const layer = join(root, "snapshots/layers", id);
    JSON.parse(await readFile(join(layer, "layer.json"), "utf8"));
    if (!existsSync(join(layer, "diff"))) faults.push(`layer without files: ${id}`);
  }
  for (const path of await filesOutsideLayers(root)) {
    const name = basename(path);
    // Drafts of local sources go when the next one comes.
    const isDraft = /\.(tmp|new|bak)\b/.test(name) && !path.includes("/local-sources/");
    if (isDraft) faults.push(`left over: ${relative(root, path)}`);
    if (name.endsWith(".db")) faults.push(...databaseFaults(path));
  }
  return faults;
}

/** Half-written files about transfers of local sources: none once another transfer was made. */
export async function draftsOfLocalSources(root: string): Promise<string[]> {
  const names = await namesIn(join(root, "local-sources/local-sources"));
  const records = names.filter((name) => name.endsWith(".json")).length;
  const trees = names.filter((name) => name.endsWith(".tree"));
  return [...names.filter((name) => !/\.(json|tree)$/.test(name)), ...trees.slice(records)];
}

/** What is left of layers, blobs and mounts once all is pruned. */
export async function storedItems(root: string): Promise<string[]> {
  const directories = ["snapshots/layers", "snapshots/tmp", "content/blobs/sha256", "content/ingest", "cache-mounts"];
  const found = directories.map(async (directory) =>
    (await namesIn(join(root, directory))).map((name) => `${directory}/${name}`),
  );
  return (await Promise.all(found)).flat();
}

async function contentFaults(store: string): Promise<string[]> {
  const faults: string[] = [];
  for (const name of await namesIn(join(store, "ingest"))) faults.push(`half-written blob ${name}`);
  for (const name of await namesIn(join(store, "blobs/sha256"))) {
    const actual = createHash("sha256")
      .update(await readFile(join(store, "blobs/sha256", name)))
      .digest("hex");
    if (actual !== name) faults.push(`blob ${name} holds ${actual}`);
  }
  return faults;
}

function databaseFaults(path: string): string[] {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    const { integrity_check: verdict } = database.prepare("PRAGMA integrity_check").get() ?? {};
    return verdict === "ok" ? [] : [`${basename(path)}: ${verdict}`];
  } finally {
    database.close();
  }
}

/** Files of the daemon's own; those of layers and cache mounts are the builds'. */
async function filesOutsideLayers(directory: string): Promise<string[]> {
  const files: string[] = [];
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isFile()) files.push(path);
    else if (entry.isDirectory() && !["layers", "data"].includes(entry.name)) {
      files.push(...(await filesOutsideLayers(path)));
    }
  }
  return files;
}

async function namesIn(directory: string): Promise<string[]> {
  return existsSync(directory) ? readdir(directory) : [];
}
