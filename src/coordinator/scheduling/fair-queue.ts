import type { BuildShare } from "../../core/values/build-share.ts";
import { Heap } from "../../util/heap.ts";
import type { WaitingTask } from "./waiting-task.ts";

interface Entry {
  readonly task: WaitingTask;
  readonly order: number;
  removed: boolean;
}

/** Says of a requirement that there is no agent for it now. */
type Skips = (requirement: string) => boolean;

/**
 * Waiting tasks, by tenant and build. Whose turn it is: the party with the least (reserved cores + 1) / (weight ×
 * 2^(priority/100)), of equals the one served longest ago; tenants first, then the builds of one (Buildbarn's tree of
 * invocations, in cores). Within a build: the task with the most work behind it.
 */
export class FairQueue {
  readonly #tenants = new Map<string, Tenant>();
  readonly #builds = new Map<string, Build>();
  readonly #entries = new Map<string, Entry>();
  /** Place in the order of arrival, which a task keeps when it comes back. */
  readonly #orders = new WeakMap<WaitingTask, number>();
  #order = 0;

  get size(): number {
    return this.#entries.size;
  }

  add(task: WaitingTask): void {
    const order = this.#orders.get(task) ?? ++this.#order;
    this.#orders.set(task, order);
    const entry = { task, order, removed: false };
    this.#entries.set(task.id, entry);
    this.#build(task.share).add(entry);
  }

  /** Takes out the task whose turn it is. */
  next(skips: Skips): WaitingTask | undefined {
    const tenant = neediest(this.#tenants.values(), skips);
    const entry = tenant && neediest(tenant.builds.values(), skips)?.pop(skips);
    if (entry !== undefined) this.#entries.delete(entry.task.id);
    return entry?.task;
  }

  /** A task which is not to be placed any more. */
  remove(task: WaitingTask): void {
    const entry = this.#entries.get(task.id);
    if (entry === undefined) return;
    entry.removed = true;
    this.#entries.delete(task.id);
    this.#dropIfIdle(task.share);
  }

  started(task: WaitingTask): void {
    const build = this.#build(task.share);
    for (const party of [build, build.tenant]) {
      party.cores += coresOf(task);
      party.lastServed = ++this.#order;
    }
    build.tasks++;
    if (isStep(task)) build.steps++;
  }

  ended(task: WaitingTask): void {
    const build = this.#build(task.share);
    for (const party of [build, build.tenant]) party.cores -= coresOf(task);
    build.tasks--;
    if (isStep(task)) build.steps--;
    this.#dropIfIdle(task.share);
  }

  #build(share: BuildShare): Build {
    let build = this.#builds.get(share.build);
    if (build === undefined) {
      const tenant = this.#tenants.get(share.tenant) ?? new Tenant();
      this.#tenants.set(share.tenant, tenant);
      build = new Build(share, tenant);
      tenant.builds.set(share.build, build);
      this.#builds.set(share.build, build);
    }
    return build;
  }

  #dropIfIdle({ build, tenant }: BuildShare): void {
    const line = this.#builds.get(build);
    if (line === undefined || line.tasks > 0 || line.top(() => false) !== undefined) return;
    this.#builds.delete(build);
    line.tenant.builds.delete(build);
    if (line.tenant.builds.size === 0) this.#tenants.delete(tenant);
  }
}

interface Party {
  /** Reserved by what runs. */
  readonly cores: number;
  /** Counts up with every task served. */
  readonly lastServed: number;
  /** Of what could be served now; 0 when nothing could. */
  worth(skips: Skips): number;
}

class Tenant implements Party {
  cores = 0;
  lastServed = 0;
  readonly builds = new Map<string, Build>();

  worth(skips: Skips): number {
    let most = 0;
    for (const build of this.builds.values()) most = Math.max(most, build.worth(skips));
    return most;
  }
}

class Build implements Party {
  cores = 0;
  lastServed = 0;
  /** Running ones. */
  tasks = 0;
  steps = 0;
  readonly tenant: Tenant;
  readonly #share: BuildShare;
  /** By requirement. */
  readonly #waiting = new Map<string, Heap<Entry>>();

  constructor(share: BuildShare, tenant: Tenant) {
    this.#share = share;
    this.tenant = tenant;
  }

  worth(skips: Skips): number {
    if (this.top(skips) === undefined) return 0;
    return this.#share.weight * 2 ** (this.#share.priority / 100);
  }

  add(entry: Entry): void {
    const { requirement } = entry.task;
    const heap = this.#waiting.get(requirement) ?? new Heap<Entry>(comesFirst);
    this.#waiting.set(requirement, heap);
    heap.push(entry);
  }

  top(skips: Skips): Entry | undefined {
    const { parallelism = Number.POSITIVE_INFINITY } = this.#share;
    let best: Entry | undefined;
    for (const [requirement, heap] of this.#waiting) {
      while (heap.peek()?.removed) heap.pop();
      const top = heap.peek();
      if (top === undefined) this.#waiting.delete(requirement);
      else if (skips(requirement) || (isStep(top.task) && this.steps >= parallelism)) continue;
      else if (best === undefined || comesFirst(top, best)) best = top;
    }
    return best;
  }

  pop(skips: Skips): Entry | undefined {
    const top = this.top(skips);
    return top && this.#waiting.get(top.task.requirement)?.pop();
  }
}

function comesFirst(a: Entry, b: Entry): boolean {
  return a.task.rank > b.task.rank || (a.task.rank === b.task.rank && a.order < b.order);
}

function isStep(task: WaitingTask): boolean {
  return task.demand.slots > 0;
}

/** Tasks without demand have a share, too. */
function coresOf(task: WaitingTask): number {
  return Math.max(task.demand.cpu, 0.1);
}

function neediest<T extends Party>(parties: Iterable<T>, skips: Skips): T | undefined {
  let best: { readonly party: T; readonly score: number } | undefined;
  for (const party of parties) {
    const worth = party.worth(skips);
    if (worth === 0) continue;
    // A grain of tolerance: sums of fractions differ by the order in which they were added.
    const score = Math.round(((party.cores + 1) / worth) * 1e6);
    const longestAgo = best !== undefined && score === best.score && party.lastServed < best.party.lastServed;
    if (best === undefined || score < best.score || longestAgo) best = { party, score };
  }
  return best?.party;
}
