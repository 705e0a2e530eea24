import type { BuildShare } from "../../core/values/build-share.ts";

/** A tenant or a build that gets a share of the fleet. */
export abstract class FairParty {
  /** Reserved by what runs. */
  cores = 0;
  /** Counts up with every task served. */
  lastServed: number;

  constructor(lastServed: number) {
    this.lastServed = lastServed;
  }

  /** Its share against that of others. */
  abstract get worth(): number;

  /** The one with the least is served next. A grain of tolerance: sums of fractions differ by the order in which they were added. */
  get score(): number {
    return Math.round(((this.cores + 1) / this.worth) * 1e6);
  }
}

export class FairTenant extends FairParty {
  readonly builds = new Map<string, FairBuild>();
  /** That of the most favoured of its builds. */
  worth = 0;

  add(build: FairBuild): void {
    this.builds.set(build.share.build, build);
    this.worth = Math.max(this.worth, build.worth);
  }

  remove(build: FairBuild): void {
    this.builds.delete(build.share.build);
    if (build.worth < this.worth) return;
    this.worth = this.builds.values().reduce((most, { worth }) => Math.max(most, worth), 0);
  }
}

export class FairBuild extends FairParty {
  readonly share: BuildShare;
  readonly tenant: FairTenant;
  readonly worth: number;
  waiting = 0;
  running = 0;
  runningSteps = 0;

  constructor(share: BuildShare, tenant: FairTenant, lastServed: number) {
    super(lastServed);
    this.share = share;
    this.tenant = tenant;
    this.worth = share.weight * 2 ** (share.priority / 100);
  }

  /** It runs fewer steps than it may. */
  get mayRunStep(): boolean {
    const { parallelism } = this.share;
    return parallelism === undefined || this.runningSteps < parallelism;
  }
}

export function isNeedier(a: FairParty, b: FairParty): boolean {
  const difference = a.score - b.score;
  return difference < 0 || (difference === 0 && a.lastServed < b.lastServed);
}
