import { chmod } from "node:fs/promises";
import type { LayerService, RunContext } from "../core/seams/op-runner.ts";
import type { Snapshotter } from "../core/seams/snapshotter.ts";
import type { ChecksumRequest } from "../core/values/checksum-request.ts";
import type { OutputsResult, ResolvedSource } from "../core/values/task.ts";
import type { SourceRequest } from "./source-identifier.ts";

/** What a source may use while it works for a task. */
export type SourceContext = Pick<RunContext, "sessions" | "signal" | "progress" | "logger"> & {
  readonly layers: Pick<LayerService, "newId" | "born">;
};

export interface ResolveOptions {
  /** git: put the raw commit and tag objects into the details, as base64. */
  readonly gitObjects?: boolean;
  /** http: put this digest into the details, as `checksum`. */
  readonly checksum?: ChecksumRequest;
  /** What the same origin was found to be earlier in the build, maybe under other attributes: it is not asked again. */
  readonly known?: ResolvedSource;
}

/** One kind of source on an agent: first made immutable, then fetched into a layer. Safe for concurrent use. */
export interface SourceHandler {
  /** Identity of what the source names now; cheap where the origin allows. */
  resolve(source: SourceRequest, context: SourceContext, options?: ResolveOptions): Promise<ResolvedSource>;
  /** @param resolved what `resolve` said, maybe on another agent; absent when it was not asked */
  fetch(source: SourceRequest, resolved: ResolvedSource | undefined, context: SourceContext): Promise<OutputsResult>;
}

/** Fills an empty directory and makes it one new layer; nothing is kept when filling fails. */
export async function commitLayer(
  snapshotter: Snapshotter,
  context: SourceContext,
  record: { readonly description: string; readonly recordType?: string },
  fill: (directory: string) => Promise<void>,
): Promise<OutputsResult> {
  await using ingest = await snapshotter.ingest(context.signal);
  await chmod(ingest.path, 0o755);
  await fill(ingest.path);
  const id = context.layers.newId();
  const { sizeBytes } = await ingest.commit(id);
  const info = context.layers.born(id, sizeBytes, record.description, record.recordType);
  return { outputs: [{ layers: [id] }], layers: [info] };
}
