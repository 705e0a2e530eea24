import type { KeyValue } from "../../core/seams/key-value.ts";
import type { Logger } from "../../core/seams/logger.ts";
import type { DispatchContext } from "../../core/seams/task-dispatcher.ts";
import type { LayerId, LayerInfo } from "../../core/values/layer.ts";
import type { TaskBody, TaskKind } from "../../core/values/task.ts";
import { decode, encode } from "../../util/msgpack.ts";

/** How a layer came to be: the task to run again when nobody has it any more. */
export interface LayerOrigin<K extends TaskKind = TaskKind> {
  readonly kind: K;
  readonly body: TaskBody<K>;
  /** All layers the task made, in the order it made them. */
  readonly produced: readonly LayerId[];
  /** Of the builds it was run for. */
  readonly sessionIds: readonly string[];
  /** Where it may run. */
  readonly placing: Pick<DispatchContext, "platform" | "constraints" | "devices">;
}

/** True for what has the fields that every LayerOrigin has. */
export function isLayerOrigin(value: unknown): value is LayerOrigin {
  if (typeof value !== "object" || value === null) return false;
  const { kind, body, produced, sessionIds, placing } = value as Partial<LayerOrigin>;
  const lists = [produced, sessionIds].every((list) => Array.isArray(list));
  return typeof kind === "string" && repeatable.has(kind) && typeof body === "object" && lists && placing !== undefined;
}

/** Kinds whose layers can be made again from the same body. */
const repeatable: ReadonlySet<TaskKind> = new Set(["exec", "file", "diff", "source.fetch"]);

/**
 * Which task made each layer of the fleet: a bucket shared by all coordinators, about 2 KB a layer. It is read only when a layer
 * is lost, so there is no mirror.
 */
export class LayerOrigins {
  readonly #bucket: KeyValue;
  readonly #logger: Logger;

  constructor(bucket: KeyValue, logger: Logger) {
    this.#bucket = bucket;
    this.#logger = logger;
  }

  /** Durable when it resolves. What cannot be stored, as it is too large, cannot be made again: that is no reason to fail now. */
  async remember<K extends TaskKind>(
    kind: K,
    body: TaskBody<K>,
    made: readonly LayerInfo[],
    context: DispatchContext,
  ): Promise<void> {
    if (!repeatable.has(kind) || made.length === 0) return;
    const { platform, constraints, devices, sessions } = context;
    const produced = made.map((info) => info.id);
    const origin: LayerOrigin<K> = {
      ...{ kind, body, produced, sessionIds: sessions.ids },
      placing: { ...(platform && { platform }), ...(constraints && { constraints }), ...(devices && { devices }) },
    };
    try {
      await Promise.all(produced.map((id) => this.#bucket.put(id, encode(origin))));
    } catch (error) {
      this.#logger.warn("how layers were made is not stored", { layers: produced, error: String(error) });
    }
  }

  async get(id: LayerId): Promise<LayerOrigin | undefined> {
    const entry = await this.#bucket.get(id);
    return entry && decode<LayerOrigin>(entry.value);
  }

  async forget(ids: readonly LayerId[]): Promise<void> {
    await Promise.all(ids.map((id) => this.#bucket.delete(id)));
  }
}
