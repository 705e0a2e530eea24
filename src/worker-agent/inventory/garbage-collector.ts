import { statfs } from "node:fs/promises";
import type { Clock } from "../../core/seams/clock.ts";
import type { Logger } from "../../core/seams/logger.ts";
import type { PruneOptions } from "../../core/values/agent.ts";
import { withSignal } from "../../util/abort.ts";
import { fullShare } from "../out-of-space.ts";
import type { AgentInventory } from "./agent-inventory.ts";

export interface GarbageCollectorOptions {
  readonly inventory: Pick<AgentInventory, "collect">;
  readonly rules: readonly PruneOptions[];
  /** Data directory of the agent. */
  readonly root: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** After the end of a task, and at most once in a minute (BuildKit control/control.go). */
const afterTaskMs = 1000;
const regularMs = 60_000;
/** Between rounds while the watermark is passed; doubles, up to `regularMs`, as long as a round does not help. */
const watermarkMs = 1000;
/** The longest pause after builds have let go of something. */
const releasedMs = 2000;
const spaceCheckMs = 1000;
/** A round for that reason makes this share free and more: what is free was not enough, so at least twice as much. */
const roomyShare = 0.1;
const mostRoomShare = 0.75;
/** The longest that a task waits for room. */
const roomWaitMs = 10_000;

/**
 * Cleans up by itself: some time after tasks have ended, while tasks run when what is stored passes what rules allow, and
 * before a task when the disk is as good as full. Tasks do not wait for it but for room. Dispose ends a round that runs.
 */
export class GarbageCollector implements AsyncDisposable {
  readonly #options: GarbageCollectorOptions;
  readonly #rules: readonly PruneOptions[];
  /** Stored bytes from which on a rule for all records has something to do. */
  readonly #watermarkBytes: number;
  readonly #minFreeBytes: number;
  readonly #stop = new AbortController();
  /** Measured by the last round, and what was stored since; unknown before the first. */
  #usedBytes = 0;
  #running: Promise<void> | undefined;
  /** A round for a full disk that runs or waits for its turn. */
  #making: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #dueAt = Number.POSITIVE_INFINITY;
  #lastRoundAt = 0;
  #pauseMs = watermarkMs;
  #disk: { readonly at: number; readonly free: number; readonly total: number } | undefined;

  constructor(options: GarbageCollectorOptions) {
    this.#options = options;
    this.#rules = options.rules;
    const general = options.rules.filter(({ filter, keepDurationMs }) => filter.length === 0 && keepDurationMs === 0);
    const caps = general.flatMap((rule) => capOf(rule) ?? []);
    this.#watermarkBytes = Math.min(...caps);
    this.#minFreeBytes = Math.max(0, ...options.rules.map((rule) => rule.minFreeSpace));
  }

  /** A task has ended. */
  taskEnded(): void {
    const pauseMs = this.#usedBytes > this.#watermarkBytes ? this.#pauseMs : regularMs;
    this.#schedule(Math.max(afterTaskMs, this.#lastRoundAt + pauseMs - this.#options.clock.now()));
  }

  /** Builds have let go of layers: a round may help now, though the last ones did not. */
  letGo(): void {
    this.#pauseMs = Math.min(this.#pauseMs, releasedMs);
    if (this.#usedBytes > this.#watermarkBytes) this.taskEnded();
  }

  /** Something was stored while tasks run. */
  stored(sizeBytes: number): void {
    this.#usedBytes += sizeBytes;
    const now = this.#options.clock.now();
    if (this.#running !== undefined || now - this.#lastRoundAt < this.#pauseMs) return;
    if (this.#usedBytes > this.#watermarkBytes) void this.#round();
    else if (this.#minFreeBytes > 0) {
      this.#space().then(
        ({ free }) => {
          if (free < this.#minFreeBytes && this.#running === undefined) void this.#round();
        },
        () => {},
      );
    }
  }

  /** Before a task: returns at once unless the disk is as good as full. */
  async makeRoom(signal: AbortSignal): Promise<void> {
    const { free, total } = await this.#space();
    if (free >= total * fullShare || this.#options.clock.now() - this.#lastRoundAt < this.#pauseMs) return;
    await this.outOfSpace(signal);
  }

  /** The disk is full: resolves when there is room again, or when that takes too long. */
  async outOfSpace(signal: AbortSignal): Promise<void> {
    this.#making ??= (async () => {
      await this.#running;
      await this.#round(true);
    })().finally(() => {
      this.#making = undefined;
    });
    const wait = AbortSignal.any([signal, AbortSignal.timeout(roomWaitMs)]);
    await withSignal(this.#making, wait).catch(() => {});
  }

  /** Resolves when no round runs. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    this.#stop.abort();
    await this.idle();
  }

  #schedule(delayMs: number): void {
    const dueAt = this.#options.clock.now() + delayMs;
    if (dueAt >= this.#dueAt || this.#stop.signal.aborted) return;
    clearTimeout(this.#timer);
    this.#dueAt = dueAt;
    this.#timer = setTimeout(() => {
      this.#dueAt = Number.POSITIVE_INFINITY;
      void this.#round();
    }, delayMs);
    this.#timer.unref();
  }

  /** Never rejects. */
  #round(full = false): Promise<void> {
    if (this.#stop.signal.aborted) return Promise.resolve();
    this.#running ??= this.#collect(full).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #collect(full: boolean): Promise<void> {
    const { inventory, clock, logger } = this.#options;
    const round = { patient: false, signal: this.#stop.signal };
    try {
      const rules = full ? [...this.#rules, await this.#roomRule()] : this.#rules;
      const { removed, usedBytes } = await inventory.collect(rules, round);
      this.#usedBytes = usedBytes;
      const freedBytes = removed.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      if (removed.length > 0) logger.info("cleaned up", { removed: removed.length, freedBytes, usedBytes });
      const isOver = usedBytes > this.#watermarkBytes;
      this.#disk = undefined;
      const isLow = (await this.#space()).free < this.#minFreeBytes;
      this.#pauseMs = isOver || isLow ? Math.min(this.#pauseMs * 2, regularMs) : watermarkMs;
      // What running builds hold now they let go at their end.
      if (isOver) this.#schedule(this.#pauseMs);
    } catch (error) {
      if (!this.#stop.signal.aborted) logger.warn("clean-up failed", { error: String(error) });
    } finally {
      this.#lastRoundAt = clock.now();
    }
  }

  /** Whatever the rules allow to keep: with a full disk nothing can be built. */
  async #roomRule(): Promise<PruneOptions> {
    this.#disk = undefined;
    const { free, total } = await this.#space();
    const minFreeSpace = Math.ceil(Math.min(2 * free + total * roomyShare, total * mostRoomShare));
    return { filter: [], all: true, keepDurationMs: 0, reservedSpace: 0, maxUsedSpace: 0, minFreeSpace };
  }

  async #space(): Promise<{ readonly free: number; readonly total: number }> {
    const now = this.#options.clock.now();
    if (this.#disk === undefined || now - this.#disk.at >= spaceCheckMs) {
      const { bavail, blocks, bsize } = await statfs(this.#options.root);
      this.#disk = { at: now, free: bavail * bsize, total: blocks * bsize };
    }
    return this.#disk;
  }
}

/** Most bytes a rule lets stay, whatever is free; undefined: it depends on what is free alone. */
function capOf({ maxUsedSpace, reservedSpace, minFreeSpace }: PruneOptions): number | undefined {
  if (maxUsedSpace > 0) return Math.max(maxUsedSpace, reservedSpace);
  return minFreeSpace > 0 ? undefined : reservedSpace;
}
