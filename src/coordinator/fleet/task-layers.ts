import type { CacheMountUse } from "../../core/values/cache-mount.ts";
import type { LayerId } from "../../core/values/layer.ts";
import type { TaskBody, TaskKind } from "../../core/values/task.ts";

/** Layers a task names: what its agent needs, or is told of. */
export function layersOfTask<K extends TaskKind>(kind: K, body: TaskBody<K>): LayerId[] {
  const layers = collectors[kind](body);
  return [...new Set(layers)];
}

/** Cache mounts a task names. */
export function cacheMountsOfTask(body: TaskBody<TaskKind>): readonly CacheMountUse[] {
  return "cacheMounts" in body ? body.cacheMounts : [];
}

const collectors: { readonly [K in TaskKind]: (body: TaskBody<K>) => readonly LayerId[] } = {
  exec: (body) => body.inputs.flatMap((ref) => ref.layers),
  file: (body) => body.inputs.flatMap((ref) => ref.layers),
  diff: (body) => [...body.lower.layers, ...body.upper.layers],
  "source.resolve": () => [],
  "source.fetch": () => [],
  checksum: (body) => body.ref.layers,
  pack: (body) => body.layers,
  push: (body) => body.blobs.flatMap((blob) => blob.layer ?? []),
  "export.archive": (body) => body.entries.flatMap((entry) => ("blob" in entry ? (entry.blob.layer ?? []) : [])),
  "export.content": (body) => body.blobs.flatMap((blob) => blob.layer ?? []),
  "export.files": (body) => body.roots.flatMap((root) => root.ref.layers),
  read: (body) => body.ref.layers,
  container: (body) => body.inputs.flatMap((ref) => ref.layers),
  "list.files": (body) => body.ref.layers,
  materialize: (body) => body.ref.layers,
};
