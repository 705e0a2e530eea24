import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import type { Clock } from "../core/seams/clock.ts";
import type { Logger } from "../core/seams/logger.ts";
import { withSignal } from "../util/abort.ts";
import type { HandoverRequests } from "./handover-requests.ts";
import type { Heartbeat } from "./heartbeat.ts";
import type { TaskServer } from "./task-server.ts";

export interface DepartureOptions {
  readonly tasks: Pick<TaskServer, "drain" | "running">;
  readonly heartbeat: Pick<Heartbeat, "beat">;
  readonly handover: Pick<HandoverRequests, "run">;
  readonly hasLayers: () => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Between two rounds while tasks still run and make more layers. */
const pauseMs = 5000;

/** What an agent does before it leaves the fleet: finish what runs, and see that others have what only it has. */
export class Departure {
  readonly #options: DepartureOptions;

  constructor(options: DepartureOptions) {
    this.#options = options;
  }

  /** Resolves when all is done, or the time is up: what runs then is for other agents to do again. */
  async prepare(limitMs: number): Promise<void> {
    const { tasks, heartbeat, clock, logger } = this.#options;
    const abort = new AbortController();
    const { signal } = abort;
    const timeIsUp = new BuildError(Code.DeadlineExceeded, `time to drain is up after ${limitMs / 1000} s`);
    clock.sleep(limitMs, signal).then(
      () => abort.abort(timeIsUp),
      () => {},
    );
    try {
      const finished = tasks.drain();
      heartbeat.beat();
      await this.#handOver(finished, signal);
    } catch (error) {
      logger.warn("leaving before all is done", { running: tasks.running.length, error: String(error) });
    } finally {
      abort.abort();
    }
  }

  async #handOver(finished: Promise<void>, signal: AbortSignal): Promise<void> {
    const { tasks, handover, hasLayers, clock, logger } = this.#options;
    for (;;) {
      // What the last task made is handed over too.
      const last = tasks.running.length === 0;
      const handed = hasLayers() ? await handover.run(signal) : undefined;
      if (handed !== undefined && handed.layers + handed.left + handed.cacheMounts > 0)
        logger.info("what only this agent had is handed over", { ...handed });
      if (last) return;
      await withSignal(Promise.race([finished, clock.sleep(pauseMs, signal)]), signal);
    }
  }
}
