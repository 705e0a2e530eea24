import { subjects } from "../../bus/index.ts";
import type { Logger } from "../../core/seams/logger.ts";
import type { MessageBus } from "../../core/seams/message-bus.ts";
import type { DispatchContext } from "../../core/seams/task-dispatcher.ts";
import type {
  CacheMountInfo,
  CacheMountSized,
  CacheMountsDropped,
  CacheMountsForgotten,
  CacheMountUse,
  PublishedCacheMount,
} from "../../core/values/cache-mount.ts";
import { decode, encode } from "../../util/msgpack.ts";
import type { CacheMountIndex } from "./cache-mount-index.ts";
import type { CacheMountLocks, HeldLocks } from "./cache-mount-locks.ts";

export interface FleetCacheMountsOptions {
  readonly bus: MessageBus;
  readonly index: CacheMountIndex;
  readonly locks: CacheMountLocks;
  readonly isAlive: (agentId: string) => boolean;
  readonly logger: Logger;
}

/** Sessions whose use of mounts is remembered; the oldest go first. */
const maxSessions = 1000;

/** The cache mounts of the fleet as its coordinators see to them: who may use one, where it is warm, what is newest (ADR-0008). */
export class FleetCacheMounts implements Disposable {
  readonly #options: FleetCacheMountsOptions;
  readonly #subscriptions: readonly Disposable[];
  /** By session: mounts which its build has used. */
  readonly #used = new Map<string, Set<string>>();

  constructor(options: FleetCacheMountsOptions) {
    this.#options = options;
    const { bus, index, logger } = options;
    const follow = <T>(subject: string, change: (message: T) => Promise<void>) =>
      bus.subscribe(subject, ({ data }) => {
        change(decode<T>(data)).catch((error) =>
          logger.warn("index of cache mounts is behind", { error: String(error) }),
        );
      });
    this.#subscriptions = [
      follow<CacheMountsDropped>(subjects.cacheMountsDropped, ({ agentId, entryIds }) => index.drop(agentId, entryIds)),
      follow<CacheMountSized>(subjects.cacheMountSized, (sized) => index.resize(sized)),
    ];
  }

  /** Agents that are said to hold something. */
  get agents(): ReadonlySet<string> {
    return this.#options.index.agents;
  }

  /** The agent does not come back. */
  async forgetAgent(agentId: string): Promise<void> {
    await this.#options.index.drop(agentId);
  }

  /** Mounts whose newest version only this agent has, of all that stay. */
  soleOf(agentId: string, stays: (agentId: string) => boolean): readonly CacheMountInfo[] {
    const { index, isAlive } = this.#options;
    return [...index.all()].filter(({ holders }) => {
      const newest = holders.find((holder) => isAlive(holder.agentId))?.version;
      const having = holders.filter(({ version }) => version === newest).map((holder) => holder.agentId);
      return having.includes(agentId) && !having.some(stays);
    });
  }

  /** What is known of the mounts, with holders that live. */
  infos(uses: readonly CacheMountUse[]): readonly CacheMountInfo[] {
    const { index, isAlive } = this.#options;
    return [...new Set(uses.map(({ key }) => key))].map((key) => {
      const info = index.get(key);
      return { ...info, holders: info.holders.filter(({ agentId }) => isAlive(agentId)) };
    });
  }

  /** Waits until the attempt may use the mounts. @returns what to release once it has ended; nothing for mounts not locked */
  async enter(
    uses: readonly CacheMountUse[],
    taskId: string,
    context: DispatchContext,
  ): Promise<HeldLocks | undefined> {
    this.#noteUse(uses, context.sessions.ids);
    const locked = uses.filter(({ sharing }) => sharing === "locked").map(({ key }) => key);
    if (locked.length === 0) return undefined;
    const waiting = new Map<string, () => void>();
    const onWait = (key: string) => {
      if (!waiting.has(key)) waiting.set(key, showWaiting(context, key));
    };
    try {
      return await this.#options.locks.acquire(locked, taskId, { signal: context.signal, onWait });
    } finally {
      for (const end of waiting.values()) end();
    }
  }

  /** Makes known what a step that has succeeded left on the agent. A lock that was lost meanwhile makes it void. */
  async publish(
    agentId: string,
    published: readonly PublishedCacheMount[],
    uses: readonly CacheMountUse[],
    locks: HeldLocks | undefined,
  ): Promise<void> {
    const isLocked = (key: string) => uses.some((use) => use.key === key && use.sharing === "locked");
    try {
      for (const mount of published) {
        if (isLocked(mount.key) && !(await locks?.holds(mount.key))) continue;
        await this.#options.index.publish(agentId, mount);
      }
    } catch (error) {
      // The step is done; its cache is only not found by others.
      this.#options.logger.warn("cannot publish cache mounts", { agent: agentId, error: String(error) });
    }
  }

  /** Lets mounts start anew everywhere (ignore_cache), except those which the same build has used already. */
  async forget(uses: readonly CacheMountUse[], sessionIds: readonly string[]): Promise<void> {
    const isUsed = (key: string) => sessionIds.some((session) => this.#used.get(session)?.has(key));
    for (const use of uses) {
      if (isUsed(use.key)) continue;
      await this.#options.index.forget(use, isUsed);
      const message: CacheMountsForgotten = { id: use.id, nested: use.nested, sessionIds };
      this.#options.bus.publish(subjects.cacheMountsForgotten, encode(message));
    }
    this.#noteUse(uses, sessionIds);
  }

  [Symbol.dispose](): void {
    for (const subscription of this.#subscriptions) subscription[Symbol.dispose]();
  }

  #noteUse(uses: readonly CacheMountUse[], sessionIds: readonly string[]): void {
    if (uses.length === 0) return;
    for (const session of sessionIds) {
      const keys = this.#used.get(session) ?? new Set<string>();
      this.#used.set(session, keys);
      for (const { key } of uses) keys.add(key);
    }
    for (const session of this.#used.keys()) {
      if (this.#used.size <= maxSessions) break;
      this.#used.delete(session);
    }
  }
}

/** A progress line while another step has the mount. @returns ends it */
function showWaiting({ progress }: DispatchContext, key: string): () => void {
  const line = { id: `waiting for locked cache mount ${key.slice(0, 80)}`, startedAt: Date.now() };
  progress.status(line);
  return () => progress.status({ ...line, completedAt: Date.now() });
}
