/** What each tenant got while it had work waiting in a full fleet, against the share that was due to it (max-min). */
export class FairnessMeter {
  readonly #slots: number;
  readonly #running = new Map<string, number>();
  readonly #waiting = new Map<string, number>();
  readonly #got = new Map<string, number>();
  readonly #due = new Map<string, number>();
  #since = 0;
  #busy = 0;

  constructor(slots: number) {
    this.#slots = slots;
  }

  /** A change of what a tenant runs or waits for, at a time that never goes back. */
  change(now: number, tenant: string, running: number, waiting: number): void {
    this.#settle(now);
    this.#busy += running;
    bump(this.#running, tenant, running);
    bump(this.#waiting, tenant, waiting);
  }

  /** Jain's index over got/due; 1 when nobody ever had to share. */
  get index(): number {
    const ratios = [...this.#due]
      .filter(([, due]) => due > 0)
      .map(([tenant, due]) => (this.#got.get(tenant) ?? 0) / due);
    if (ratios.length === 0) return 1;
    const sum = ratios.reduce((total, ratio) => total + ratio, 0);
    return sum ** 2 / (ratios.length * ratios.reduce((total, ratio) => total + ratio ** 2, 0));
  }

  #settle(now: number): void {
    const elapsed = now - this.#since;
    this.#since = now;
    // With room to spare, whoever waits does so for a certain agent.
    if (elapsed === 0 || this.#busy < 0.95 * this.#slots) return;
    const wanting = [...this.#waiting].filter(([, waiting]) => waiting > 0).map(([tenant]) => tenant);
    if (wanting.length < 2) return;
    const running = (tenant: string) => this.#running.get(tenant) ?? 0;
    const wanted = wanting.map((tenant) => running(tenant) + (this.#waiting.get(tenant) ?? 0));
    const cores = wanting.reduce((sum, tenant) => sum + running(tenant), 0);
    const level = waterLevel(wanted, cores);
    for (const [index, tenant] of wanting.entries()) {
      bump(this.#got, tenant, running(tenant) * elapsed);
      bump(this.#due, tenant, Math.min(wanted[index] ?? 0, level) * elapsed);
    }
  }
}

/** The most anybody gets when `cores` are shared so that nobody has less than another unless it wants less (max-min). */
function waterLevel(wanted: readonly number[], cores: number): number {
  let left = cores;
  const sorted = wanted.toSorted((a, b) => a - b);
  for (const [index, want] of sorted.entries()) {
    const share = left / (sorted.length - index);
    if (want >= share) return share;
    left -= want;
  }
  return Number.POSITIVE_INFINITY;
}

function bump(map: Map<string, number>, key: string, by: number): void {
  map.set(key, (map.get(key) ?? 0) + by);
}
