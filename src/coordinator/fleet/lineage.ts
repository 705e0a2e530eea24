import { SourceOp } from "../../api/gen/ops.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { LayerLostError } from "../../core/errors/layer-lost-error.ts";
import type { Clock } from "../../core/seams/clock.ts";
import type { DispatchContext } from "../../core/seams/task-dispatcher.ts";
import type { LayerId, LayerInfo } from "../../core/values/layer.ts";
import type { TaskBody } from "../../core/values/task.ts";
import { FlightControl } from "../../util/flight-control.ts";
import type { LayerCatalog } from "./layer-catalog.ts";
import type { LayerOrigin, LayerOrigins } from "./layer-origins.ts";
import { layersOfTask } from "./task-layers.ts";

export interface LineageOptions {
  readonly coordinatorId: string;
  readonly catalog: LayerCatalog;
  readonly origins: LayerOrigins;
  readonly clock: Clock;
  /** True when some living agent holds the layer or it can be had from outside. */
  readonly isAvailable: (info: LayerInfo) => boolean;
  /** False for a coordinator that has gone. */
  readonly coordinatorLives: (id: string) => boolean;
  /** Runs the task again. @returns the layers it made, in order */
  readonly rerun: (origin: LayerOrigin, context: DispatchContext) => Promise<readonly LayerInfo[]>;
}

/** Between looks at what another coordinator is doing. */
const checkEveryMs = 200;

/**
 * Makes lost layers again, with what they stood on: once for all builds of all coordinators. The new layers have ids of their
 * own and replace the lost ones in the catalog, so that an agent which comes back with its copy of a lost one confuses nobody.
 */
export class Lineage {
  readonly #options: LineageOptions;
  readonly #rebuilds = new FlightControl<void>();

  constructor(options: LineageOptions) {
    this.#options = options;
  }

  /** @throws LayerLostError when a lost layer cannot be made again */
  async ensureAvailable(ids: readonly LayerId[], context: DispatchContext): Promise<void> {
    const { isAvailable, catalog } = this.#options;
    const lost = ids.map((id) => catalog.require(id)).filter((info) => !isAvailable(info));
    await Promise.all(lost.map(({ id }) => this.#rebuild(id, context)));
  }

  /** True for a layer that is there, or can be made again for any build, with all that it stands on. */
  async canBeHad(info: LayerInfo): Promise<boolean> {
    const { isAvailable, catalog, origins } = this.#options;
    // Stacks share most of their layers.
    const answers = new Map<LayerId, Promise<boolean>>();
    const canBeMade = async ({ id }: LayerInfo): Promise<boolean> => {
      const origin = await origins.get(id);
      if (origin === undefined || isLocal(origin)) return false;
      const inputs = layersOfTask(origin.kind, origin.body).map((input) => ask(catalog.get(input)));
      return (await Promise.all(inputs)).every(Boolean);
    };
    const ask = async (layer: LayerInfo | undefined): Promise<boolean> => {
      if (layer === undefined || isAvailable(layer)) return layer !== undefined;
      const answer = answers.get(layer.id) ?? canBeMade(layer);
      answers.set(layer.id, answer);
      return answer;
    };
    return ask(info);
  }

  /** @throws LayerLostError that names the layer, beside what it stands on */
  async #rebuild(id: LayerId, context: DispatchContext): Promise<void> {
    try {
      await this.#rebuildFrom(id, context);
    } catch (error) {
      throw LayerLostError.is(error) ? new LayerLostError(BuildError.from(error), [id]) : error;
    }
  }

  async #rebuildFrom(id: LayerId, context: DispatchContext): Promise<void> {
    const origin = await this.#options.origins.get(id);
    const [key] = origin?.produced ?? [];
    if (origin === undefined || key === undefined || !mayRun(origin, context)) {
      throw lost(id, "no living agent holds it and how it was made is not known, or is another client's affair");
    }
    await this.#rebuilds.do(key, (signal) => this.#replace(origin, { ...context, signal }), context.signal);
  }

  /** Until the layers can be had: makes them, or waits for the coordinator that does. */
  async #replace(origin: LayerOrigin, context: DispatchContext): Promise<void> {
    const { catalog, isAvailable, coordinatorLives, coordinatorId, clock } = this.#options;
    const isLost = (id: LayerId) => {
      const info = catalog.get(id);
      return info !== undefined && !isAvailable(info);
    };
    const mayClaim = ({ replacedBy, remadeBy }: LayerInfo) =>
      replacedBy === undefined &&
      (remadeBy === undefined || remadeBy === coordinatorId || !coordinatorLives(remadeBy)) &&
      origin.produced.some(isLost);
    for (let waits = false; origin.produced.some(isLost); waits = true) {
      const key = origin.produced.find((id) => catalog.get(id) !== undefined);
      if (key === undefined) return;
      if (await catalog.claim(key, coordinatorId, mayClaim)) return this.#remake(key, origin, context);
      if (!waits) tell(context, "waiting for another coordinator, which makes lost layers again");
      await clock.sleep(checkEveryMs, context.signal);
    }
  }

  async #remake(key: LayerId, origin: LayerOrigin, context: DispatchContext): Promise<void> {
    const { catalog, rerun } = this.#options;
    const { produced } = origin;
    tell(context, `making ${produced.length} lost layer(s) again: their holders are gone`);
    try {
      const made = await rerun(origin, context);
      if (made.length !== produced.length) {
        throw lost(key, `the step that made it makes ${made.length} layers now, not ${produced.length}`);
      }
      await catalog.replace(
        produced,
        made.map((info) => info.id),
        key,
      );
    } catch (error) {
      await catalog.unclaim(key).catch(() => {});
      throw error;
    }
  }
}

function tell({ progress }: DispatchContext, what: string): void {
  progress.log(2, new TextEncoder().encode(`[fleet] ${what}\n`));
}

function lost(id: LayerId, why: string): LayerLostError {
  return new LayerLostError(new BuildError(Code.Unavailable, `layer ${id} is lost: ${why}; run the build again`));
}

/** A client's directory is another one in another session. */
function mayRun(origin: LayerOrigin, { sessions }: DispatchContext): boolean {
  return !isLocal(origin) || origin.sessionIds.some((id) => sessions.ids.includes(id));
}

function isLocal({ kind, body }: LayerOrigin): boolean {
  if (kind !== "source.fetch") return false;
  return SourceOp.decode((body as TaskBody<"source.fetch">).source).identifier.startsWith("local://");
}
