import { SourceOp } from "../../api/gen/ops.ts";
import type { LayerInfo } from "../../core/values/layer.ts";
import type { TaskBody, TaskKind } from "../../core/values/task.ts";
import { parseLocalSession } from "../../llb/local-session.ts";

/** Sessions a task names besides those of the builds that want it: where its source or the blobs of its layers are. */
export function sessionsOfTask<K extends TaskKind>(
  kind: K,
  body: TaskBody<K>,
  layers: readonly LayerInfo[],
): readonly string[] {
  const ofLayers = layers.flatMap(({ origins }) =>
    origins.flatMap((origin) => (origin.kind === "session" ? origin.sessionId : [])),
  );
  if (kind !== "source.resolve" && kind !== "source.fetch") return ofLayers;
  const { identifier, attrs } = SourceOp.decode((body as TaskBody<"source.fetch">).source);
  return [...ofLayers, parseLocalSession(identifier, attrs["local.session"]).sessionId, attrs["oci.session"] ?? ""];
}
