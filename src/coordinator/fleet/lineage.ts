import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { DispatchContext } from "../../core/seams/task-dispatcher.ts";
import type { LayerId, LayerInfo } from "../../core/values/layer.ts";
import type { TaskBody, TaskKind } from "../../core/values/task.ts";
import { FlightControl } from "../../util/flight-control.ts";

/** How a layer came to be: the task to run again when nobody has it any more. */
export interface LayerOrigin<K extends TaskKind = TaskKind> {
  readonly kind: K;
  readonly body: TaskBody<K>;
  /** All layers the task made, in the order it made them. */
  readonly produced: readonly LayerId[];
}

export interface LineageOptions {
  /** True when some living agent holds the layer or it can be had from outside. */
  readonly isAvailable: (info: LayerInfo) => boolean;
  readonly info: (id: LayerId) => LayerInfo;
  /** Forgets holders, blobs and diffId of layers about to be made anew. */
  readonly reset: (ids: readonly LayerId[]) => Promise<void>;
  /** Runs the task again; its layers get the ids of `produced`. */
  readonly rerun: (origin: LayerOrigin, context: DispatchContext) => Promise<void>;
}

/** Kinds whose layers can be made again from the same body. */
const repeatable: ReadonlySet<TaskKind> = new Set(["exec", "file", "diff", "source.fetch"]);
/** Origins remembered; each holds one op and some ids, about 2 KB. */
const maxOrigins = 50_000;

/**
 * Remembers which task made each layer, and makes lost ones again: under the same ids, so that whatever names them stays
 * right. What the lost layers stood on is looked after by the same way.
 */
export class Lineage {
  readonly #options: LineageOptions;
  readonly #origins = new Map<LayerId, LayerOrigin>();
  readonly #rebuilds = new FlightControl<void>();

  constructor(options: LineageOptions) {
    this.#options = options;
  }

  remember<K extends TaskKind>(kind: K, body: TaskBody<K>, made: readonly LayerInfo[]): void {
    if (!repeatable.has(kind)) return;
    const produced = made.map((info) => info.id);
    for (const id of produced) {
      this.#origins.delete(id);
      this.#origins.set(id, { kind, body, produced });
    }
    for (const id of this.#origins.keys()) {
      if (this.#origins.size <= maxOrigins) break;
      this.#origins.delete(id);
    }
  }

  /** @throws BuildError Unavailable when a lost layer cannot be made again */
  async ensureAvailable(ids: readonly LayerId[], context: DispatchContext): Promise<void> {
    const lost = ids.filter((id) => !this.#options.isAvailable(this.#options.info(id)));
    await Promise.all(lost.map((id) => this.#rebuild(id, context)));
  }

  async #rebuild(id: LayerId, context: DispatchContext): Promise<void> {
    const origin = this.#origins.get(id);
    if (origin === undefined) {
      throw new BuildError(
        Code.Unavailable,
        `layer ${id} is lost: no living agent holds it and how it was made is not known; run the build again`,
      );
    }
    const [key = id] = origin.produced;
    await this.#rebuilds.do(
      key,
      async (signal) => {
        const note = `[fleet] making ${origin.produced.length} lost layer(s) again: their holders are gone\n`;
        context.progress.log(2, new TextEncoder().encode(note));
        await this.#options.reset(origin.produced);
        await this.#options.rerun(origin, { ...context, signal });
      },
      context.signal,
    );
  }
}
