import { layerBatches } from "../../cache/index.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { ExportContext } from "../../core/seams/exporter.ts";
import type { Descriptor } from "../../core/values/descriptor.ts";
import type { LayerId, LayerInfo } from "../../core/values/layer.ts";
import type { Compression } from "../../core/values/task.ts";

interface Waiting extends PromiseWithResolvers<Descriptor> {
  readonly id: LayerId;
  readonly holder: string;
  readonly sizeBytes: number;
}

/** Has layers cut into blobs by agents that hold them. What is asked for in one turn of the event loop goes along in few tasks. */
export class PackQueue {
  readonly #compression: Compression;
  readonly #context: ExportContext;
  #waiting: Waiting[] = [];

  constructor(compression: Compression, context: ExportContext) {
    this.#compression = compression;
    this.#context = context;
  }

  /** Call once per layer. @throws BuildError as the task, which may be that of other layers too */
  pack({ id, holders, sizeBytes }: LayerInfo): Promise<Descriptor> {
    if (this.#waiting.length === 0) setImmediate(() => this.#flush());
    const entry = { id, holder: holders[0] ?? "", sizeBytes, ...Promise.withResolvers<Descriptor>() };
    this.#waiting.push(entry);
    return entry.promise;
  }

  #flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    const batches = layerBatches(waiting, ({ holder, sizeBytes }) => ({ holder, sizeBytes }));
    for (const batch of batches) {
      this.#dispatch(batch).catch((error: unknown) => {
        for (const { reject } of batch) reject(error);
      });
    }
  }

  async #dispatch(batch: readonly Waiting[]): Promise<void> {
    const { dispatcher, signal, progress, sessions, traceparent } = this.#context;
    const { descriptors } = await dispatcher.run(
      "pack",
      { layers: batch.map(({ id }) => id), compression: this.#compression },
      { signal, progress, sessions, ...(traceparent === undefined ? {} : { traceparent }) },
    );
    for (const [place, { id, resolve }] of batch.entries()) {
      const descriptor = descriptors[place];
      if (descriptor === undefined) throw new BuildError(Code.Internal, `agent packed layer ${id} into nothing`);
      resolve(descriptor);
    }
  }
}
