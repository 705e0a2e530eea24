import pLimit from "p-limit";
import type { OpRunner, RunContext } from "../../core/seams/op-runner.ts";
import { isNonDistributableType } from "../../core/values/media-type.ts";
import type { LayerBlob, Task, TaskResult } from "../../core/values/task.ts";
import type { RegistryClient } from "../../registry/index.ts";
import { inSpan } from "../../telemetry/index.ts";

export interface PushOpOptions {
  readonly registry: Pick<RegistryClient, "pushBlob">;
  /** Blobs worked on at the same time; the client bounds transfers per registry by itself. Default 8. */
  readonly concurrency?: number;
}

const statusId = "pushing layers";

/**
 * `push`: puts blobs into a repository (BuildKit util/push). What is there is skipped, what lies in another repository of the
 * same registry is mounted, the rest is streamed from the layer service.
 */
export class PushOp implements OpRunner<"push"> {
  readonly kind = "push";
  readonly #registry: Pick<RegistryClient, "pushBlob">;
  readonly #concurrency: number;

  constructor(options: PushOpOptions) {
    this.#registry = options.registry;
    this.#concurrency = options.concurrency ?? 8;
  }

  async run(task: Task<"push">, context: RunContext): Promise<TaskResult<"push">> {
    const { blobs } = task.body;
    const startedAt = Date.now();
    context.progress.status({ id: statusId, startedAt });
    const totals = { pushed: 0, skipped: 0, bytes: 0 };
    const distinct = new Map(blobs.map((blob) => [blob.descriptor.digest, blob]));
    // One failure ends the others, and nobody is left running when this returns.
    const abort = new AbortController();
    const signal = AbortSignal.any([context.signal, abort.signal]);
    const limit = pLimit(this.#concurrency);
    try {
      const work = [...distinct.values()].map((blob) =>
        limit(async () => {
          signal.throwIfAborted();
          const attributes = { "blob.digest": blob.descriptor.digest, "blob.size_bytes": blob.descriptor.size };
          const outcome = await inSpan("push blob", { attributes }, async (span) => {
            const done = await this.#push(task, blob, context, signal);
            span.set({ "push.outcome": done });
            return done;
          });
          if (outcome === "pushed") {
            totals.pushed++;
            totals.bytes += blob.descriptor.size;
          } else totals.skipped++;
        }).catch((error: unknown) => {
          abort.abort(error);
          throw error;
        }),
      );
      const outcomes = await Promise.allSettled(work);
      context.signal.throwIfAborted();
      if (outcomes.some(({ status }) => status === "rejected")) throw abort.signal.reason;
      return totals;
    } finally {
      context.progress.status({ id: statusId, startedAt, completedAt: Date.now() });
    }
  }

  async #push(
    task: Task<"push">,
    blob: LayerBlob,
    context: RunContext,
    signal: AbortSignal,
  ): Promise<"exists" | "mounted" | "pushed" | "foreign"> {
    const { descriptor } = blob;
    const { target } = task.body;
    if (isNonDistributableType(descriptor.mediaType)) return "foreign";
    return this.#registry.pushBlob(target.repository, descriptor, () => context.layers.openBlob(blob, signal), {
      sessions: context.sessions,
      signal,
      insecure: target.insecure,
      mountFrom: mountCandidates(target.repository, blob, task),
    });
  }
}

/** Repositories of the same registry which are known to hold the blob: from its annotations and from its layer's origins. */
function mountCandidates(repository: string, blob: LayerBlob, task: Task<"push">): readonly string[] {
  const host = repository.split("/", 1)[0] ?? "";
  const key = `containerd.io/distribution.source.${host.replace(/:\d+$/, "")}`;
  const named = (blob.descriptor.annotations?.[key] ?? "").split(",").filter((name) => name !== "");
  const origins = task.layers.find(({ id }) => id === blob.layer)?.origins ?? [];
  const pulled = origins.flatMap((origin) =>
    origin.kind === "registry" &&
    origin.descriptor.digest === blob.descriptor.digest &&
    origin.repository.startsWith(`${host}/`)
      ? [origin.repository.slice(host.length + 1)]
      : [],
  );
  return [...new Set([...pulled, ...named])];
}
