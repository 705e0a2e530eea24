import { subjects } from "../../bus/index.ts";
import type { Clock } from "../../core/seams/clock.ts";
import type { KeyValue } from "../../core/seams/key-value.ts";
import type { Logger } from "../../core/seams/logger.ts";
import type { MessageBus } from "../../core/seams/message-bus.ts";
import { withSignal } from "../../util/abort.ts";
import { KeyedSemaphore } from "../../util/keyed-semaphore.ts";
import { encode } from "../../util/msgpack.ts";
import type { AgentRegistry } from "./agent-registry.ts";
import { recordKey } from "./cache-mount-index.ts";
import type { CoordinatorSilence } from "./coordinator-silence.ts";
import { MirroredBucket } from "./mirrored-bucket.ts";

export interface CacheMountLocksOptions {
  readonly coordinatorId: string;
  readonly bucket: KeyValue;
  readonly bus: MessageBus;
  readonly registry: AgentRegistry;
  readonly coordinators: CoordinatorSilence;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Who has a mount for itself: an attempt at a task. */
export interface CacheMountOwner {
  readonly coordinatorId: string;
  readonly taskId: string;
}

export function isCacheMountOwner(value: unknown): value is CacheMountOwner {
  if (typeof value !== "object" || value === null) return false;
  const { coordinatorId, taskId } = value as Partial<CacheMountOwner>;
  return typeof coordinatorId === "string" && typeof taskId === "string";
}

export interface LockOptions {
  readonly signal: AbortSignal;
  /** Called when somebody else has the mount; perhaps more than once for a key. */
  readonly onWait: (key: string) => void;
}

/** What one attempt has locked. */
export interface HeldLocks {
  /** The attempt still has the mount, as the bucket says. */
  holds(key: string): Promise<boolean>;
  /** Lets go once the attempt's process has ended, which `ended` tells. Returns at once; only the first call counts. */
  release(ended: Promise<void>): void;
}

/** Between looks at an owner that may have died. */
const checkIntervalMs = 1000;
/** A coordinator that has just let go leaves the others so long to be next. */
const handoverMs = 100;

/**
 * `locked` cache mounts of the fleet. A lock is a record that names the attempt which has it; there is nothing to renew, since
 * heartbeats tell whether its owner lives: the lock of a coordinator that is gone is free when no agent runs the task any more,
 * and an agent that still does is told to end it. Locks are taken in the order of their keys, so nobody waits in a circle.
 */
export class CacheMountLocks implements Disposable {
  readonly #options: CacheMountLocksOptions;
  readonly #turns = new KeyedSemaphore(1);
  /** Tasks of this coordinator that have locks. */
  readonly #ownTasks = new Set<string>();
  readonly #stop = new AbortController();
  #records: MirroredBucket<CacheMountOwner> | undefined;
  #changed = Promise.withResolvers<void>();

  private constructor(options: CacheMountLocksOptions) {
    this.#options = options;
  }

  static async open(options: CacheMountLocksOptions): Promise<CacheMountLocks> {
    const locks = new CacheMountLocks(options);
    locks.#records = await MirroredBucket.open<CacheMountOwner>(options.bucket, (key) => {
      locks.#tidy(key);
      locks.#changed.resolve();
      locks.#changed = Promise.withResolvers();
    });
    return locks;
  }

  /** Waits until the task has all of the mounts. @throws the signal's reason, with nothing locked */
  async acquire(keys: readonly string[], taskId: string, options: LockOptions): Promise<HeldLocks> {
    const turns = new DisposableStack();
    const taken: string[] = [];
    let held = true;
    const release = (ended: Promise<void>) => {
      if (!held) return;
      held = false;
      void ended.then(() => this.#release(taken, taskId)).finally(() => turns.dispose());
    };
    this.#ownTasks.add(taskId);
    try {
      for (const key of [...new Set(keys)].sort()) {
        if (this.#bucket.get(recordKey(key)) !== undefined) options.onWait(key);
        turns.use(await this.#turns.acquire(key, options.signal));
        taken.push(key);
        await this.#take(key, { coordinatorId: this.#options.coordinatorId, taskId }, options);
      }
    } catch (error) {
      release(Promise.resolve());
      throw error;
    }
    return {
      holds: async (key) => (await this.#bucket.read(recordKey(key)))?.taskId === taskId,
      release,
    };
  }

  [Symbol.dispose](): void {
    this.#stop.abort(new Error("coordinator is shutting down"));
    this.#bucket[Symbol.dispose]();
  }

  get #bucket(): MirroredBucket<CacheMountOwner> {
    if (this.#records === undefined) throw new Error("locks are not open");
    return this.#records;
  }

  async #take(key: string, me: CacheMountOwner, { signal, onWait }: LockOptions): Promise<void> {
    for (;;) {
      const changed = this.#changed.promise;
      const owner = await this.#bucket.change(recordKey(key), (known) =>
        known === undefined || this.#isFree(known) ? me : known,
      );
      if (owner === undefined || owner.taskId === me.taskId) return;
      onWait(key);
      const wait = new AbortController();
      try {
        const timer = this.#options.clock.sleep(checkIntervalMs, wait.signal).catch(() => {});
        await withSignal(Promise.race([changed, timer]), signal);
      } finally {
        wait.abort();
      }
    }
  }

  #isFree({ coordinatorId, taskId }: CacheMountOwner): boolean {
    const { coordinatorId: ownId, coordinators, registry, bus, logger } = this.#options;
    if (coordinatorId === ownId) return !this.#ownTasks.has(taskId);
    if (!coordinators.isGone(coordinatorId)) return false;
    const agent = registry.agents.find(({ running }) => running.includes(taskId));
    if (agent === undefined) return true;
    logger.info("ending a task whose coordinator is gone: it has a cache mount locked", {
      task: taskId,
      coordinatorId,
    });
    bus.publish(subjects.agentCancel(agent.id), encode({ taskId }));
    return false;
  }

  /** A lock of this coordinator that came into being though nobody here heard so: the bus was away in that moment. */
  #tidy(record: string): void {
    const owner = this.#records?.get(record);
    if (owner?.coordinatorId !== this.#options.coordinatorId || this.#ownTasks.has(owner.taskId)) return;
    void this.#unlock(record, owner.taskId);
  }

  async #release(keys: readonly string[], taskId: string): Promise<void> {
    const { clock, coordinators } = this.#options;
    this.#ownTasks.delete(taskId);
    for (const key of keys) await this.#unlock(recordKey(key), taskId);
    // Those who wait here would always be faster than those elsewhere.
    if (coordinators.any) await clock.sleep(handoverMs, this.#stop.signal).catch(() => {});
  }

  /** Never rejects: it tries until it can, or the coordinator stops. */
  async #unlock(record: string, taskId: string): Promise<void> {
    const { clock, logger } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await this.#bucket.change(record, (known) => (known?.taskId === taskId ? undefined : known));
        return;
      } catch (error) {
        logger.warn("cannot unlock a cache mount yet", { task: taskId, error: String(error) });
        await clock.sleep(checkIntervalMs, signal).catch(() => {});
      }
    }
  }
}
