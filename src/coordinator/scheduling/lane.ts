import { MutableHeap } from "../../util/mutable-heap.ts";
import { type FairBuild, type FairTenant, isNeedier } from "./fair-party.ts";
import type { WaitingTask } from "./waiting-task.ts";

export interface Entry {
  readonly task: WaitingTask;
  readonly build: FairBuild;
  /** Place in the order of arrival. */
  readonly order: number;
}

/** Waiting tasks of one requirement, sorted by tenant, build, and what lies behind them. */
export class Lane {
  readonly requirement: string;
  /** Of steps; else of tasks that need no room. */
  readonly steps: boolean;
  /** Those with a build that may run one. */
  readonly #open = new MutableHeap<TenantLine>((a, b) => isNeedier(a.tenant, b.tenant));
  readonly #tenants = new Map<FairTenant, TenantLine>();

  constructor(requirement: string, steps: boolean) {
    this.requirement = requirement;
    this.steps = steps;
  }

  get empty(): boolean {
    return this.#tenants.size === 0;
  }

  /** The one whose turn it is. */
  get top(): Entry | undefined {
    return this.#open.peek()?.open.peek()?.tasks.peek();
  }

  add(entry: Entry): void {
    const { build } = entry;
    const tenant = this.#tenants.get(build.tenant) ?? new TenantLine(build.tenant);
    this.#tenants.set(build.tenant, tenant);
    const line = tenant.builds.get(build) ?? new BuildLine(build);
    tenant.builds.set(build, line);
    line.tasks.put(entry);
    this.changed(build);
  }

  remove(entry: Entry): void {
    const { build } = entry;
    const tenant = this.#tenants.get(build.tenant);
    const line = tenant?.builds.get(build);
    if (tenant === undefined || line === undefined) return;
    line.tasks.delete(entry);
    this.changed(build);
    if (line.tasks.size === 0) tenant.builds.delete(build);
    if (tenant.builds.size === 0) this.#tenants.delete(build.tenant);
  }

  /** Something about the build, or its tenant, has changed that says when it is its turn. */
  changed(build: FairBuild): void {
    const tenant = this.#tenants.get(build.tenant);
    if (tenant === undefined) return;
    const line = tenant.builds.get(build);
    if (line !== undefined) {
      if (line.tasks.size > 0 && (!this.steps || build.mayRunStep)) tenant.open.put(line);
      else tenant.open.delete(line);
    }
    if (tenant.open.size > 0) this.#open.put(tenant);
    else this.#open.delete(tenant);
  }
}

class TenantLine {
  readonly tenant: FairTenant;
  readonly builds = new Map<FairBuild, BuildLine>();
  /** Builds that may run one of their tasks. */
  readonly open = new MutableHeap<BuildLine>((a, b) => isNeedier(a.build, b.build));

  constructor(tenant: FairTenant) {
    this.tenant = tenant;
  }
}

class BuildLine {
  readonly build: FairBuild;
  readonly tasks = new MutableHeap<Entry>(comesFirst);

  constructor(build: FairBuild) {
    this.build = build;
  }
}

/** Of two tasks of one build. */
export function comesFirst(a: Entry, b: Entry): boolean {
  return a.task.rank > b.task.rank || (a.task.rank === b.task.rank && a.order < b.order);
}
