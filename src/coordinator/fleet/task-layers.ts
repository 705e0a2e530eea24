import type { CacheMountUse } from "../../core/values/cache-mount.ts";
import type { LayerId, Ref } from "../../core/values/layer.ts";
import type { LayerBlob, TaskBody, TaskKind } from "../../core/values/task.ts";

type Replace = (id: LayerId) => LayerId;

/** Layers a task names: what its agent needs, or is told of. */
export function layersOfTask<K extends TaskKind>(kind: K, body: TaskBody<K>): LayerId[] {
  const layers = new Set<LayerId>();
  withLayers(kind, body, (id) => {
    layers.add(id);
    return id;
  });
  return [...layers];
}

/** Cache mounts a task names. */
export function cacheMountsOfTask(body: TaskBody<TaskKind>): readonly CacheMountUse[] {
  return ("cacheMounts" in body ? body.cacheMounts : undefined) ?? [];
}

/** The task with other layers in the place of those it names. */
export function withLayers<K extends TaskKind>(kind: K, body: TaskBody<K>, replace: Replace): TaskBody<K> {
  return replacers[kind](body, replace);
}

const replacers: { readonly [K in TaskKind]: (body: TaskBody<K>, replace: Replace) => TaskBody<K> } = {
  exec: (body, replace) => ({ ...body, inputs: refs(body.inputs, replace) }),
  file: (body, replace) => ({ ...body, inputs: refs(body.inputs, replace) }),
  diff: (body, replace) => ({ ...body, lower: ref(body.lower, replace), upper: ref(body.upper, replace) }),
  "source.resolve": (body) => body,
  "source.fetch": (body) => body,
  checksum: (body, replace) => ({ ...body, ref: ref(body.ref, replace) }),
  pack: (body, replace) => ({ ...body, layers: body.layers.map(replace) }),
  push: (body, replace) => ({ ...body, blobs: blobs(body.blobs, replace) }),
  "export.archive": (body, replace) => ({
    ...body,
    entries: body.entries.map((entry) => ("blob" in entry ? { ...entry, blob: blob(entry.blob, replace) } : entry)),
  }),
  "export.content": (body, replace) => ({ ...body, blobs: blobs(body.blobs, replace) }),
  "export.files": (body, replace) => ({
    ...body,
    roots: body.roots.map((root) => ({ ...root, ref: ref(root.ref, replace) })),
  }),
  read: (body, replace) => ({ ...body, ref: ref(body.ref, replace) }),
  container: (body, replace) => ({ ...body, inputs: refs(body.inputs, replace) }),
  "list.files": (body, replace) => ({ ...body, ref: ref(body.ref, replace) }),
  materialize: (body, replace) => ({ ...body, ref: ref(body.ref, replace) }),
};

function ref({ layers }: Ref, replace: Replace): Ref {
  return { layers: layers.map(replace) };
}

function refs(all: readonly Ref[], replace: Replace): readonly Ref[] {
  return all.map((one) => ref(one, replace));
}

function blob(one: LayerBlob, replace: Replace): LayerBlob {
  return one.layer === undefined ? one : { ...one, layer: replace(one.layer) };
}

function blobs(all: readonly LayerBlob[], replace: Replace): readonly LayerBlob[] {
  return all.map((one) => blob(one, replace));
}
