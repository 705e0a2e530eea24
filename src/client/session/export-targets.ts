import { createWriteStream } from "node:fs";
import { stat } from "node:fs/promises";
import type { Writable } from "node:stream";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { FileReceiver } from "../../filesync/index.ts";
import { decodeBytesMessage, type GrpcServer, metadataValue, type ServerCall } from "../../grpc/index.ts";
import { receiveDirectory } from "./receive-directory.ts";
import type { SessionService } from "./session-service.ts";

/** Where the bytes of one output go. */
export type ExportTarget =
  | { readonly kind: "directory"; readonly path: string; readonly deleteOthers: boolean }
  /** Written from the first byte on: a build that fails leaves the old file. */
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "stdout" }
  /** An OCI layout; the daemon writes blobs into it through the session's content service. */
  | { readonly kind: "layout"; readonly path: string };

/** `moby.filesync.v1.FileSend` (map b6): takes what local, tar, oci and docker outputs send. */
export class ExportTargets implements SessionService {
  readonly #targets: ReadonlyMap<number, ExportTarget>;
  readonly #receiver: FileReceiver;
  readonly #onIrrevocable: (where: string) => void;

  /**
   * @param targets by position of the output in the request
   * @param receiver stays the caller's
   * @param onIrrevocable told before bytes go where they cannot be overwritten: to stdout, or into a pipe
   */
  constructor(
    targets: ReadonlyMap<number, ExportTarget>,
    receiver: FileReceiver,
    onIrrevocable: (where: string) => void = () => {},
  ) {
    this.#targets = targets;
    this.#receiver = receiver;
    this.#onIrrevocable = onIrrevocable;
  }

  register(server: GrpcServer): void {
    server.handle("/moby.filesync.v1.FileSend/DiffCopy", async (call) => {
      const id = Number.parseInt(metadataValue(call.metadata, "buildkit-attachable-exporter-id") ?? "0", 10) || 0;
      const target = this.#targets.get(id);
      if (target === undefined || target.kind === "layout")
        throw new BuildError(Code.Unknown, `exporter ${id} not found`);
      if (target.kind === "file") return this.#receiveFile(call, target.path);
      if (target.kind === "stdout") {
        return receiveStream(call, process.stdout, () => this.#onIrrevocable("stdout"));
      }
      if (target.deleteOthers && !call.metadata["buildkit-exporter-multi-platform"]?.includes("1")) {
        throw new BuildError(
          Code.Unknown,
          "local exporter mode=delete requires a BuildKit daemon with multi-platform local export support",
        );
      }
      await receiveDirectory(call, this.#receiver, target);
    });
  }

  async #receiveFile(call: ServerCall, path: string): Promise<void> {
    const found = await stat(path).catch(() => undefined);
    const rewritable = found === undefined || found.isFile();
    const file = createWriteStream(path);
    try {
      await receiveStream(call, file, () => {
        if (!rewritable) this.#onIrrevocable(path);
      });
    } finally {
      // What is still on its way must not get into a file that is written anew.
      file.on("error", () => {}).destroy();
      if (!file.closed) await new Promise<void>((resolve) => file.once("close", () => resolve()));
    }
  }
}

/** @param onFirst called before the first bytes are written */
async function receiveStream(call: ServerCall, stream: Writable, onFirst: () => void): Promise<void> {
  let failure: Error | undefined;
  let wake: (() => void) | undefined;
  let begun = false;
  const onError = (error: Error) => {
    failure = error;
    wake?.();
  };
  const onDrain = () => wake?.();
  stream.on("error", onError).on("drain", onDrain);
  try {
    for await (const message of call.messages) {
      if (!begun) onFirst();
      begun = true;
      if (!stream.write(decodeBytesMessage(message)) && failure === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      if (failure !== undefined) throw failure;
    }
    await new Promise<void>((resolve, reject) => {
      const done = (error?: Error | null) => (error ? reject(error) : resolve());
      if (stream === process.stdout) stream.write("", done);
      else stream.end(done);
    });
  } finally {
    stream.off("error", onError).off("drain", onDrain);
  }
}
