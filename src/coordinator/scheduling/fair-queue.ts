import type { BuildShare } from "../../core/values/build-share.ts";
import { FairBuild, FairTenant, isNeedier } from "./fair-party.ts";
import { comesFirst, type Entry, Lane } from "./lane.ts";
import { isStep, type WaitingTask } from "./waiting-task.ts";

/** What a tenant may have more than another one that waits, to take a slot where its inputs are out of turn. */
const passingTolerance = 1.25;

/** Says of steps with a requirement that there is no room for them now. */
type Skips = (requirement: string) => boolean;

/**
 * Waiting tasks, by tenant and build. Whose turn it is: the party with the least (reserved cores + 1) / (weight ×
 * 2^(priority/100)), of equals the one served longest ago; tenants first, then the builds of one (Buildbarn's tree of
 * invocations, in cores). Within a build: the task with the most work behind it. Calls take logarithmic time in tasks, builds
 * and tenants.
 */
export class FairQueue {
  readonly #tenants = new Map<string, FairTenant>();
  readonly #builds = new Map<string, FairBuild>();
  readonly #entries = new Map<string, Entry>();
  readonly #lanes = new Map<string, Lane>();
  /** Place in the order of arrival, which a task keeps when it comes back. */
  readonly #orders = new WeakMap<WaitingTask, number>();
  #order = 0;

  get size(): number {
    return this.#entries.size;
  }

  /**
   * Whether a task that waits may run before those whose turn it is: its build may run one more such, and its tenant has hardly
   * more than the one that has least.
   */
  mayPass(task: WaitingTask): boolean {
    const entry = this.#entries.get(task.id);
    if (entry === undefined || (isStep(task) && !entry.build.mayRunStep)) return false;
    let least = Number.POSITIVE_INFINITY;
    for (const lane of this.#lanes.values()) least = Math.min(least, lane.top?.build.tenant.score ?? least);
    return entry.build.tenant.score <= least * passingTolerance;
  }

  /** What the tenant of a task has, against its share. */
  scoreOf({ share }: WaitingTask): number {
    return this.#tenants.get(share.tenant)?.score ?? 0;
  }

  add(task: WaitingTask): void {
    const order = this.#orders.get(task) ?? ++this.#order;
    this.#orders.set(task, order);
    const build = this.#build(task.share);
    build.waiting++;
    const entry = { task, build, order };
    this.#entries.set(task.id, entry);
    this.#laneOf(task).add(entry);
  }

  /** Takes out the task whose turn it is. */
  next(skips: Skips): WaitingTask | undefined {
    let best: Entry | undefined;
    for (const lane of this.#lanes.values()) {
      if (lane.steps && skips(lane.requirement)) continue;
      const { top } = lane;
      if (top !== undefined && (best === undefined || isBefore(top, best))) best = top;
    }
    if (best === undefined) return undefined;
    this.#takeOut(best);
    return best.task;
  }

  /** Takes out a task that is to be placed, if it is here, or not to be placed any more. */
  remove(task: WaitingTask): void {
    const entry = this.#entries.get(task.id);
    if (entry === undefined) return;
    this.#takeOut(entry);
    this.#dropIfIdle(entry.build);
  }

  started(task: WaitingTask): void {
    const build = this.#build(task.share);
    build.running++;
    build.runningSteps += Number(isStep(task));
    build.lastServed = build.tenant.lastServed = ++this.#order;
    this.#reserve(build, coresOf(task));
  }

  ended(task: WaitingTask): void {
    const build = this.#build(task.share);
    build.running--;
    build.runningSteps -= Number(isStep(task));
    this.#reserve(build, -coresOf(task));
    this.#dropIfIdle(build);
  }

  #reserve(build: FairBuild, cores: number): void {
    build.cores += cores;
    build.tenant.cores += cores;
    this.#changed(build);
  }

  #changed(build: FairBuild): void {
    for (const lane of this.#lanes.values()) lane.changed(build);
  }

  #takeOut(entry: Entry): void {
    const { task, build } = entry;
    build.waiting--;
    this.#entries.delete(task.id);
    const lane = this.#laneOf(task);
    lane.remove(entry);
    if (lane.empty) this.#lanes.delete(laneName(task));
  }

  /** Steps have lanes apart from what needs no room and waits for none. */
  #laneOf(task: WaitingTask): Lane {
    const name = laneName(task);
    const lane = this.#lanes.get(name) ?? new Lane(task.requirement, isStep(task));
    this.#lanes.set(name, lane);
    return lane;
  }

  #build(share: BuildShare): FairBuild {
    const known = this.#builds.get(share.build);
    if (known !== undefined) return known;
    const tenant = this.#tenants.get(share.tenant) ?? new FairTenant(++this.#order);
    this.#tenants.set(share.tenant, tenant);
    const build = new FairBuild(share, tenant, ++this.#order);
    this.#builds.set(share.build, build);
    tenant.add(build);
    this.#changed(build);
    return build;
  }

  #dropIfIdle(build: FairBuild): void {
    if (build.running > 0 || build.waiting > 0) return;
    const { share, tenant } = build;
    this.#builds.delete(share.build);
    tenant.remove(build);
    this.#changed(build);
    if (tenant.builds.size === 0) this.#tenants.delete(share.tenant);
  }
}

function laneName(task: WaitingTask): string {
  return `${Number(isStep(task))} ${task.requirement}`;
}

function isBefore(a: Entry, b: Entry): boolean {
  if (a.build.tenant !== b.build.tenant) return isNeedier(a.build.tenant, b.build.tenant);
  if (a.build !== b.build) return isNeedier(a.build, b.build);
  return comesFirst(a, b);
}

/** Tasks without demand have a share, too. */
function coresOf(task: WaitingTask): number {
  return Math.max(task.demand.cpu, 0.1);
}
