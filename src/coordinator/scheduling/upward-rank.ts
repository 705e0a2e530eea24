/** A vertex of a graph to rank, by name. */
export interface RankedVertex {
  readonly id: string;
  readonly inputs: readonly string[];
  readonly expectedSeconds: number;
}

/**
 * Upward ranks: for each vertex the expected seconds from its start to the end of the longest way to a sink (Topcuoglu et al.,
 * HEFT, 2002; without transfers, which placement keeps small). Linear in vertices and edges.
 * @param vertices inputs before those who use them, as definitions have them; inputs that are not listed are ignored
 */
export function upwardRanks(vertices: readonly RankedVertex[]): ReadonlyMap<string, number> {
  const behind = new Map<string, number>();
  const ranks = new Map<string, number>();
  for (const { id, inputs, expectedSeconds } of vertices.toReversed()) {
    const rank = expectedSeconds + (behind.get(id) ?? 0);
    ranks.set(id, rank);
    for (const input of inputs) behind.set(input, Math.max(behind.get(input) ?? 0, rank));
  }
  return ranks;
}
