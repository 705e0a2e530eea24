import { BytesMessage } from "../../api/gen/filesync.ts";
import { encodeTarHeader, TarType, tarHeader, tarTrailer } from "../../archive/tar/index.ts";
import { BuildError } from "../../core/errors/build-error.ts";
import type { LayerService, OpRunner, RunContext } from "../../core/seams/op-runner.ts";
import type { SessionCaller } from "../../core/seams/session-caller.ts";
import type { ArchiveEntry, Task, TaskResult } from "../../core/values/task.ts";
import { byteString } from "../../util/sys/index.ts";

const method = "/moby.filesync.v1.FileSend/DiffCopy";
/** BuildKit clients take up to 4 MiB a message; 1 MiB keeps memory low at the same speed. */
const messageBytes = 1 << 20;

/**
 * Streams a tar of inline files and blobs to the client, blob after blob: each comes from the store here, else from its
 * holder, and is verified on the way (map b6, f4).
 */
export class ExportArchiveOp implements OpRunner<"export.archive"> {
  readonly kind = "export.archive";

  async run({ body }: Task<"export.archive">, context: RunContext): Promise<TaskResult<"export.archive">> {
    const { signal } = context;
    const session = await context.sessions.get(body.sessionId, { signal });
    const metadata = {
      "buildkit-attachable-exporter-id": [String(body.exporterId)],
      ...Object.fromEntries(Object.entries(body.metadata).map(([key, value]) => [`exporter-md-${key}`, [value]])),
    };
    try {
      return { bytes: await sendFile(session, metadata, archive(body.entries, context.layers, signal), signal) };
    } catch (error) {
      signal.throwIfAborted();
      throw BuildError.from(error).final();
    }
  }
}

/** Sends one file's bytes to the client. @returns the number of bytes. @throws BuildError AlreadyExists: nothing is wanted */
export async function sendFile(
  session: SessionCaller,
  metadata: Readonly<Record<string, readonly string[]>>,
  chunks: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<number> {
  await using stream = session.open(method, { metadata, signal });
  let bytes = 0;
  // The client answers only with its status; it may refuse before it has read everything.
  const answer = (async () => {
    for await (const _ of stream.messages);
  })();
  answer.catch(() => {});
  let callEnded = false;
  try {
    for await (const chunk of chunks) {
      for (let offset = 0; offset < chunk.length; offset += messageBytes) {
        const data = chunk.subarray(offset, offset + messageBytes);
        callEnded = true;
        await stream.send(BytesMessage.encode({ data }).finish());
        callEnded = false;
        bytes += data.length;
      }
    }
    stream.closeSend();
  } catch (error) {
    // A send fails when the call has ended: then its status says why.
    if (!callEnded) throw error;
  }
  await answer;
  return bytes;
}

async function* archive(
  entries: readonly ArchiveEntry[],
  layers: LayerService,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (const entry of entries) {
    const name = byteString(entry.path);
    if ("directory" in entry) yield encodeTarHeader(tarHeader({ name, type: TarType.Directory, mode: 0o755 }));
    else if ("data" in entry) {
      const mode = entry.path.startsWith("blobs/") || entry.path === "oci-layout" ? 0o444 : 0o644;
      yield encodeTarHeader(tarHeader({ name, type: TarType.File, mode, size: entry.data.length }));
      yield entry.data;
      yield padding(entry.data.length);
    } else {
      const { size } = entry.blob.descriptor;
      yield encodeTarHeader(tarHeader({ name, type: TarType.File, mode: 0o444, size }));
      yield* layers.openBlob(entry.blob, signal);
      yield padding(size);
    }
  }
  yield tarTrailer;
}

function padding(size: number): Uint8Array {
  return new Uint8Array((512 - (size % 512)) % 512);
}
