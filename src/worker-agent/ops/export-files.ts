import { BytesMessage } from "../../api/gen/filesync.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { OpRunner, RunContext } from "../../core/seams/op-runner.ts";
import type { SessionCaller, SessionStream } from "../../core/seams/session-caller.ts";
import type { ExportRoot, Task, TaskBody, TaskResult } from "../../core/values/task.ts";
import { FileSender, type SourceTree } from "../../filesync/index.ts";
import { WorkerPool } from "../../filesystem/index.ts";
import { allOrAbort } from "../../util/all-or-abort.ts";
import { tarOfTrees } from "./tar-tree.ts";
import { transferProgress } from "./transfer-progress.ts";

const sendMethod = "/moby.filesync.v1.FileSend/DiffCopy";
const nanosPerSecond = 1_000_000_000n;

export interface ExportFilesRunnerOptions {
  /** Threads that read; default 2 for directories and 2 for tars. */
  readonly threads?: number;
  /** Entry files of the threads, where they are not beside the sources. */
  readonly sendWorkerEntry?: URL;
  readonly tarWorkerEntry?: URL;
}

/**
 * Sends the files of refs to the client: into a directory over fsutil, or as a tar stream (BuildKit exporter/local,
 * exporter/tar). Dispose stops the threads.
 */
export class ExportFilesRunner implements OpRunner<"export.files">, AsyncDisposable {
  readonly kind = "export.files";
  readonly #sender: FileSender;
  readonly #tarPool: WorkerPool;

  constructor(options: ExportFilesRunnerOptions = {}) {
    const threads = options.threads === undefined ? {} : { threads: options.threads };
    this.#sender = new FileSender({
      ...threads,
      ...(options.sendWorkerEntry === undefined ? {} : { workerEntry: options.sendWorkerEntry }),
    });
    this.#tarPool = new WorkerPool({
      entry: options.tarWorkerEntry ?? new URL("./tar-tree-worker.ts", import.meta.url),
      size: options.threads ?? 2,
    });
  }

  async run(task: Task<"export.files">, context: RunContext): Promise<TaskResult<"export.files">> {
    const { body } = task;
    const caller = await context.sessions.get(body.sessionId, { signal: context.signal });
    if (!caller.supports(sendMethod)) {
      throw new BuildError(Code.Unknown, "method /moby.filesync.v1.FileSend/diffcopy not supported by the client");
    }
    await using views = new AsyncDisposableStack();
    const trees: SourceTree[] = [];
    for (const root of body.roots) trees.push(await sourceTree(root, body, context, views));
    try {
      if (body.form === "tar") return await this.#sendTar(body, caller, trees, context);
      return await this.#sendDirectories(body, caller, trees, context);
    } catch (error) {
      context.signal.throwIfAborted();
      throw BuildError.from(error).final();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#sender[Symbol.asyncDispose](), this.#tarPool[Symbol.asyncDispose]()]);
  }

  async #sendDirectories(
    body: TaskBody<"export.files">,
    caller: SessionCaller,
    trees: readonly SourceTree[],
    context: RunContext,
  ): Promise<TaskResult<"export.files">> {
    // One transfer lets the client delete what is not in it; else each platform has its own, at the same time.
    const transfers = body.multiPlatform ? [trees] : trees.map((tree) => [tree]);
    const bare = trees.filter((tree) => tree.prefix === "");
    if (!body.multiPlatform && bare.length > 1) await this.#sender.check(bare, context.signal);
    const sent = await allOrAbort(transfers, context.signal, async (group, signal) => {
      const [only] = group;
      const label = group.length === 1 && only?.label ? `copying files ${only.label}` : "copying files";
      const progress = transferProgress(context.progress, label);
      try {
        await using stream = caller.open(sendMethod, { metadata: callMetadata(body), signal });
        return await this.#sender.send(stream, group, { signal, onProgress: progress.update });
      } finally {
        progress.end();
      }
    });
    return {
      bytes: sent.reduce((sum, { bytes }) => sum + bytes, 0),
      files: sent.reduce((sum, { entries }) => sum + entries, 0),
    };
  }

  async #sendTar(
    body: TaskBody<"export.files">,
    caller: SessionCaller,
    trees: readonly SourceTree[],
    context: RunContext,
  ): Promise<TaskResult<"export.files">> {
    const startedAt = Date.now();
    const line = { id: "sending tarball", startedAt };
    context.progress.status(line);
    try {
      await using stream = caller.open(sendMethod, { metadata: callMetadata(body), signal: context.signal });
      const bytes = await sendBytes(stream, tarOfTrees(this.#tarPool, trees, context.signal));
      return { bytes, files: 1 };
    } finally {
      context.progress.status({ ...line, completedAt: Date.now() });
    }
  }
}

/** Sends bytes to their end and reads the client's answer, which comes early when it fails. */
async function sendBytes(stream: SessionStream, bytes: AsyncIterable<Uint8Array>): Promise<number> {
  let answered: Error | undefined;
  const answer = (async () => {
    for await (const _ of stream.messages) {
      // The client has nothing to say but its status.
    }
  })();
  answer.catch((error: unknown) => {
    answered = error instanceof Error ? error : new Error(String(error));
  });
  let total = 0;
  try {
    for await (const chunk of bytes) {
      if (answered !== undefined) throw answered;
      await stream.send(BytesMessage.encode({ data: chunk }).finish());
      total += chunk.length;
    }
    stream.closeSend();
    await answer;
  } catch (error) {
    throw answered ?? error;
  }
  return total;
}

async function sourceTree(
  root: ExportRoot,
  body: TaskBody<"export.files">,
  context: RunContext,
  views: AsyncDisposableStack,
): Promise<SourceTree> {
  const empty = root.ref.layers.length === 0;
  const view = empty ? undefined : views.use(await context.layers.view(root.ref, context.signal));
  const epochNs = body.epoch === undefined ? undefined : BigInt(body.epoch) * nanosPerSecond;
  const extraNs = epochNs ?? BigInt(Math.floor(Date.now() / 1000)) * nanosPerSecond;
  return {
    directory: view?.path,
    prefix: root.prefix,
    // The prefix is the platform with `_` for `/`.
    label: root.prefix.replaceAll("_", "/"),
    ...(epochNs === undefined ? {} : { timeNs: epochNs }),
    extra: root.extra.map(({ path, data }) => ({ path, data, timeNs: extraNs })),
  };
}

function callMetadata(body: TaskBody<"export.files">): Readonly<Record<string, readonly string[]>> {
  const metadata: Record<string, readonly string[]> = {
    "buildkit-attachable-exporter-id": [String(body.exporterId)],
  };
  for (const [key, value] of Object.entries(body.metadata)) metadata[`exporter-md-${key}`] = [value];
  if (body.multiPlatform) metadata["buildkit-exporter-multi-platform"] = ["1"];
  return metadata;
}
