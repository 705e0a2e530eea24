import { randomBytes } from "node:crypto";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { encodeBytesMessage, type GrpcServer, metadataValue } from "../../grpc/index.ts";
import type { SessionService } from "./session-service.ts";

const chunkBytes = 1 << 20;

/** `moby.upload.v1.Upload` (map b10): streams that the daemon fetches as if they were at a URL. */
export class UploadService implements SessionService {
  readonly #streams = new Map<string, () => AsyncIterable<Uint8Array>>();

  /**
   * @param open called once in each session that fetches it
   * @returns the URL to name in the build
   */
  add(open: () => AsyncIterable<Uint8Array>): string {
    const id = randomBytes(16).toString("hex");
    this.#streams.set(id, open);
    return `http://buildkit-session/${id}`;
  }

  register(server: GrpcServer): void {
    const left = new Map(this.#streams);
    server.handle("/moby.upload.v1.Upload/Pull", async (call) => {
      const id = (metadataValue(call.metadata, "urlpath") ?? "").split("/").at(-1) ?? "";
      const open = left.get(id);
      if (open === undefined) throw new BuildError(Code.Unknown, `no http response from session for ${id}`);
      left.delete(id);
      for await (const chunk of open()) {
        for (let at = 0; at < chunk.length; at += chunkBytes) {
          await call.send(encodeBytesMessage(chunk.subarray(at, at + chunkBytes)));
        }
      }
    });
  }
}
