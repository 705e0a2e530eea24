/** What decides which layers go along in one task. */
export interface BatchedLayer {
  /** Agent that has it; empty when none has. */
  readonly holder: string;
  readonly sizeBytes: number;
}

const maxBatchLayers = 32;
/** What an agent packs or sends in less than a second. */
const maxBatchBytes = 16 << 20;

/**
 * Cuts work on layers into tasks. A task costs about a millisecond, so small layers of one agent go together; a large layer is a
 * task of its own, which can be placed by itself.
 */
export function layerBatches<T>(items: readonly T[], describe: (item: T) => BatchedLayer): T[][] {
  const batches: T[][] = [];
  const open = new Map<string, { readonly items: T[]; bytes: number }>();
  for (const item of items) {
    const { holder, sizeBytes } = describe(item);
    const batch = open.get(holder);
    if (batch !== undefined && batch.items.length < maxBatchLayers && batch.bytes + sizeBytes <= maxBatchBytes) {
      batch.items.push(item);
      batch.bytes += sizeBytes;
      continue;
    }
    const begun = { items: [item], bytes: sizeBytes };
    batches.push(begun.items);
    open.set(holder, begun);
  }
  return batches;
}
