import type { WaitingTask } from "./waiting-task.ts";

/** So many times as much as another one that waits, a tenant gets nothing more because its inputs are there. */
const tolerance = 3;

/** Which tenants have more than others for whom there is no near agent, in one round of decisions. */
export class TenantsAhead {
  readonly #scoreOf: (task: WaitingTask) => number;
  readonly #scores = new Map<string, number>();
  #least = Number.POSITIVE_INFINITY;

  /** @param scoreOf what the tenant of a task has, against its share */
  constructor(scoreOf: (task: WaitingTask) => number) {
    this.#scoreOf = scoreOf;
  }

  /** To be called before anything of the tenant counts as started in this round. */
  note(task: WaitingTask): void {
    const { tenant } = task.share;
    if (this.#scores.has(tenant)) return;
    const score = this.#scoreOf(task);
    this.#scores.set(tenant, score);
    this.#least = Math.min(this.#least, score);
  }

  has({ share }: WaitingTask): boolean {
    return (this.#scores.get(share.tenant) ?? 0) > this.#least * tolerance;
  }
}
