import pLimit from "p-limit";
import { ClientContent } from "../../cache/index.ts";
import type { OpRunner, RunContext } from "../../core/seams/op-runner.ts";
import type { Descriptor } from "../../core/values/descriptor.ts";
import type { Task, TaskResult } from "../../core/values/task.ts";
import { allOrAbort } from "../../util/all-or-abort.ts";

/** A write costs a few round trips to the client, and its disk. */
const concurrentBlobs = 4;

/** `export.content`: puts blobs into a content store of the client; what the client has is not even read. */
export class ExportContentOp implements OpRunner<"export.content"> {
  readonly kind = "export.content";

  async run({ body }: Task<"export.content">, context: RunContext): Promise<TaskResult<"export.content">> {
    const { sessions, signal, layers } = context;
    const client = new ClientContent(await sessions.get(body.sessionId, { signal }), body.storeId);
    const totals = { written: 0, skipped: 0, bytes: 0 };
    const write = async (descriptor: Descriptor, open: () => AsyncIterable<Uint8Array>, until: AbortSignal) => {
      if (await client.write(descriptor, open, until)) {
        totals.written++;
        totals.bytes += descriptor.size;
      } else totals.skipped++;
    };
    const limit = pLimit(concurrentBlobs);
    await allOrAbort(body.blobs, signal, (blob, both) =>
      limit(async () => {
        both.throwIfAborted();
        await write(blob.descriptor, () => layers.openBlob(blob, both), both);
      }),
    );
    for (const { descriptor, data } of body.documents ?? []) await write(descriptor, () => once(data), signal);
    return totals;
  }
}

async function* once(data: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield data;
}
