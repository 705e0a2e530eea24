import { randomBytes } from "node:crypto";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { encodeBytesMessage, type GrpcServer, metadataValue } from "../../grpc/index.ts";
import type { SessionService } from "./session-service.ts";

const chunkBytes = 1 << 20;

/** `moby.upload.v1.Upload` (map b10): streams that the daemon fetches as if they were at a URL, each once. */
export class UploadService implements SessionService {
  readonly #streams = new Map<string, AsyncIterable<Uint8Array>>();

  /** @returns the URL to name in the build */
  add(stream: AsyncIterable<Uint8Array>): string {
    const id = randomBytes(16).toString("hex");
    this.#streams.set(id, stream);
    return `http://buildkit-session/${id}`;
  }

  register(server: GrpcServer): void {
    server.handle("/moby.upload.v1.Upload/Pull", async (call) => {
      const id = (metadataValue(call.metadata, "urlpath") ?? "").split("/").at(-1) ?? "";
      const stream = this.#streams.get(id);
      if (stream === undefined) throw new BuildError(Code.Unknown, `no http response from session for ${id}`);
      this.#streams.delete(id);
      for await (const chunk of stream) {
        for (let at = 0; at < chunk.length; at += chunkBytes) {
          await call.send(encodeBytesMessage(chunk.subarray(at, at + chunkBytes)));
        }
      }
    });
  }
}
