import type { DispatchContext } from "../../core/seams/task-dispatcher.ts";
import { sha256 } from "../../core/values/digest.ts";
import type { TaskBody, TaskKind } from "../../core/values/task.ts";
import { encode } from "../../util/msgpack.ts";

/** Kinds whose result follows from the body alone, and which take long enough to share. */
const sharedKinds: ReadonlySet<TaskKind> = new Set(["exec", "file"]);

/**
 * Names a step by what it does and the layers it stands on, the same at every coordinator (ADR-0021).
 * @returns undefined for what is done anew each time
 */
export function sharedStep<K extends TaskKind>(
  kind: K,
  body: TaskBody<K>,
  { shared = false }: DispatchContext,
): string | undefined {
  return shared && sharedKinds.has(kind) ? sha256(encode([kind, body])) : undefined;
}
