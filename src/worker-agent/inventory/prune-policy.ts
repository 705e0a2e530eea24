import type { PruneOptions, UsageRecord } from "../../core/values/agent.ts";
import { usageFilter } from "../../core/values/usage-filter.ts";

/** Types that only `all` removes (map h10). */
const keptTypes: ReadonlySet<string> = new Set(["internal", "frontend"]);

/**
 * Bytes to come down to; undefined: all that matches goes (BuildKit cache/manager.go, calculateKeepBytes).
 * @param freeBytes of the disk now
 */
export function spaceTarget(options: PruneOptions, usedBytes: number, freeBytes: number): number | undefined {
  const { reservedSpace, maxUsedSpace, minFreeSpace } = options;
  if (reservedSpace === 0 && maxUsedSpace === 0 && minFreeSpace === 0) return undefined;
  const lack = minFreeSpace - freeBytes;
  const caps = [
    ...(maxUsedSpace > 0 ? [maxUsedSpace] : []),
    ...(lack > 0 ? [usedBytes - lack] : []),
    // Only a wish for free space, and it is fulfilled.
    ...(maxUsedSpace === 0 && lack <= 0 && minFreeSpace > 0 ? [usedBytes] : []),
  ];
  return Math.max(0, Math.min(...(caps.length > 0 ? caps : [0])), reservedSpace);
}

export interface VictimSearch {
  readonly now: number;
  /** Used by all records and by what else counts. */
  readonly usedBytes: number;
  /** As from `spaceTarget`. */
  readonly targetBytes: number | undefined;
  /** The most victims to name. */
  readonly limit: number;
  /** Records that must stay whatever the options say. */
  readonly isKept: (id: string) => boolean;
}

/**
 * Records to remove, in this order, until the target is reached (BuildKit cache/manager.go, pruneOnce): what was used long
 * ago and seldom first, and no record before those that stand on it.
 */
export function selectVictims(
  records: readonly UsageRecord[],
  options: PruneOptions,
  search: VictimSearch,
): readonly UsageRecord[] {
  const { now, targetBytes, limit, isKept } = search;
  const matches = usageFilter(options.filter);
  const order = byWorth(
    records.filter(
      (record) =>
        !(record.inUse || isKept(record.id)) &&
        (options.all || !(keptTypes.has(record.recordType) || record.shared)) &&
        !(options.keepDurationMs > 0 && record.lastUsedAt > now - options.keepDurationMs) &&
        matches(record),
    ),
  );
  const children = new Map<string, number>();
  for (const { parents } of records) for (const id of parents) children.set(id, (children.get(id) ?? 0) + 1);
  const places = new Map(order.map(({ id }, place) => [id, place]));
  const leaves = order.flatMap(({ id }, place) => (children.has(id) ? [] : [place])).values();
  let leaf = leaves.next().value;
  /** Places of records on which only victims stood, in order. */
  const freed: number[] = [];
  const victims: UsageRecord[] = [];
  let used = search.usedBytes;
  while (victims.length < limit && (targetBytes === undefined || used > targetBytes)) {
    const [next = Number.POSITIVE_INFINITY] = freed;
    const place = Math.min(next, leaf ?? Number.POSITIVE_INFINITY);
    const victim = order[place];
    if (victim === undefined) break;
    if (place === next) freed.shift();
    else leaf = leaves.next().value;
    for (const id of victim.parents) {
      const left = (children.get(id) ?? 0) - 1;
      children.set(id, left);
      const parent = places.get(id);
      if (left === 0 && parent !== undefined) freed.push(parent);
    }
    freed.sort((a, b) => a - b);
    used -= victim.sizeBytes;
    victims.push(victim);
  }
  return victims;
}

/** Least worth keeping first: place by time of last use and place by number of uses weigh the same. */
function byWorth(records: readonly UsageRecord[]): UsageRecord[] {
  const age = shares(records.map(({ lastUsedAt }) => lastUsedAt));
  const use = shares(records.map(({ usageCount }) => usageCount));
  const worth = ({ lastUsedAt, usageCount }: UsageRecord) => (age.get(lastUsedAt) ?? 0) + (use.get(usageCount) ?? 0);
  const ranked = records.map((record) => ({ record, worth: worth(record) }));
  // Of a stack used as one the upper layer goes first: what is below may serve others.
  ranked.sort((a, b) => a.worth - b.worth || b.record.createdAt - a.record.createdAt);
  return ranked.map(({ record }) => record);
}

/** Each value's place among the distinct ones, as a share of their number. */
function shares(values: readonly number[]): ReadonlyMap<number, number> {
  const distinct = [...new Set(values)].sort((a, b) => a - b);
  return new Map(distinct.map((value, index) => [value, (index + 1) / distinct.length]));
}
