/** What a task takes of an agent while it runs, or what an agent has. */
export interface Resources {
  /** Steps at the same time; tasks that are not steps take none. */
  readonly slots: number;
  /** Cores, in fractions. */
  readonly cpu: number;
  readonly memoryBytes: number;
}

export const noResources: Resources = { slots: 0, cpu: 0, memoryBytes: 0 };

export function add(a: Resources, b: Resources): Resources {
  return { slots: a.slots + b.slots, cpu: a.cpu + b.cpu, memoryBytes: a.memoryBytes + b.memoryBytes };
}

export function subtract(a: Resources, b: Resources): Resources {
  return { slots: a.slots - b.slots, cpu: a.cpu - b.cpu, memoryBytes: a.memoryBytes - b.memoryBytes };
}

/**
 * Whether `demand` fits beside `used`. An idle agent takes any step: what is larger than every machine must still run
 * somewhere. Sums of fractions are compared with a grain of tolerance.
 */
export function fits(capacity: Resources, used: Resources, demand: Resources): boolean {
  if (demand.slots === 0) return true;
  if (used.slots + demand.slots > capacity.slots) return false;
  if (used.slots === 0) return true;
  const cpu = used.cpu + demand.cpu <= capacity.cpu + 1e-6;
  return cpu && used.memoryBytes + demand.memoryBytes <= capacity.memoryBytes;
}

/** Share of the scarcest resource in use, 0 … 1 (above when overcommitted). */
export function load(capacity: Resources, used: Resources): number {
  return Math.max(
    used.slots / Math.max(capacity.slots, 1),
    used.cpu / Math.max(capacity.cpu, 0.1),
    used.memoryBytes / Math.max(capacity.memoryBytes, 1),
  );
}
