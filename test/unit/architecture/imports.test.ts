import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { it } from "node:test";

/** Folders of src/ from the bottom up: a folder imports only from rows above its own in this list (ARCHITECTURE.md, Layers). */
const layers: readonly (readonly string[])[] = [
  ["api"],
  ["core", "version.ts"],
  ["util"],
  ["archive", "filesystem", "grpc", "telemetry"],
  [
    "agent-link",
    "bus",
    "content",
    "contenthash",
    "executor",
    "exporters",
    "llb",
    "registry",
    "session",
    "session-services",
    "snapshot",
    "source",
    "source-policy",
    "transfer",
  ],
  ["filesync", "config"],
  ["cache", "client", "frontend", "solver"],
  ["coordinator", "worker-agent"],
  ["standalone"],
  ["cli"],
];

const root = resolve(import.meta.dirname, "../../../src");
const rankOf = new Map(layers.flatMap((folders, rank) => folders.map((folder) => [folder, rank] as const)));

function* sourceFiles(): Generator<string> {
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (entry.isFile() && entry.name.endsWith(".ts")) yield join(entry.parentPath, entry.name);
  }
}

function folderOf(path: string): string {
  return relative(root, path).split("/")[0] ?? "";
}

function* importsOf(path: string): Generator<string> {
  const text = readFileSync(path, "utf8");
  for (const match of text.matchAll(/(?:from |import\(|import )"(\.[^"]+)"/g)) {
    yield resolve(dirname(path), match[1] ?? "");
  }
}

it("imports between folders of src/ point one way", () => {
  const wrong: string[] = [];
  let seen = 0;
  for (const path of sourceFiles()) {
    const from = folderOf(path);
    const rank = rankOf.get(from);
    assert.notEqual(rank, undefined, `folder src/${from} has no place in the layers`);
    for (const target of importsOf(path)) {
      const to = folderOf(target);
      if (to === from) continue;
      seen++;
      if ((rankOf.get(to) ?? 99) >= (rank ?? 0)) wrong.push(`${relative(root, path)} imports ${to}`);
    }
  }
  assert.ok(seen > 100, "the walk finds imports");
  assert.deepEqual(wrong, []);
});

it("files of src/ do not import each other in a circle", () => {
  const graph = new Map<string, readonly string[]>();
  for (const path of sourceFiles()) {
    // Types vanish at run time and may refer to each other.
    const text = readFileSync(path, "utf8").replace(/import type [^;]*;/g, "");
    graph.set(
      path,
      [...text.matchAll(/from "(\.[^"]+)"/g)].map((match) => resolve(dirname(path), match[1] ?? "")),
    );
  }
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]) => {
    if (done.has(path)) return;
    const at = trail.indexOf(path);
    assert.equal(at, -1, `circle: ${[...trail.slice(at), path].map((p) => relative(root, p)).join(" → ")}`);
    for (const target of graph.get(path) ?? []) visit(target, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
});
