import type { ContentHasher } from "../../contenthash/index.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import type { OpRunner, RunContext } from "../../core/seams/op-runner.ts";
import type { Task, TaskResult } from "../../core/values/task.ts";
import type { ContentListings } from "../inventory/content-listings.ts";

export interface ChecksumRunnerOptions {
  readonly hasher: ContentHasher;
  readonly listings: Pick<ContentListings, "keep">;
  /** Names the machine in errors, as BuildKit's worker id does. */
  readonly agentId: string;
}

/** Computes content digests, the slow keys of edges, on an agent that has the layers. */
export class ChecksumRunner implements OpRunner<"checksum"> {
  readonly kind = "checksum";
  readonly #hasher: ContentHasher;
  readonly #listings: Pick<ContentListings, "keep">;
  readonly #agentId: string;

  constructor(options: ChecksumRunnerOptions) {
    this.#hasher = options.hasher;
    this.#listings = options.listings;
    this.#agentId = options.agentId;
  }

  async run(task: Task<"checksum">, context: RunContext): Promise<TaskResult<"checksum">> {
    const { ref, selectors } = task.body;
    await context.layers.ensure(ref, context.signal);
    const top = ref.layers.at(-1);
    const recordType =
      top === undefined
        ? undefined
        : (task.layers.find((layer) => layer.id === top) ?? context.layers.info(top))?.recordType;
    try {
      const transferred = recordType === "source.local";
      const digest = await this.#hasher.checksum(ref, selectors, { signal: context.signal, transferred });
      this.#listings.keep(digest, (file) => this.#hasher.list(ref, selectors, file, { transferred }));
      return { digest };
    } catch (error) {
      if (context.signal.aborted) throw error;
      throw BuildError.from(error).wrap(`failed to calculate checksum of ref ${this.#agentId}::${top ?? ""}`);
    }
  }
}
