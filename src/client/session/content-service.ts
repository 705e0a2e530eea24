import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import { type Digest, parseDigest } from "../../core/values/digest.ts";
import { type GrpcServer, metadataValue, type ServerCall } from "../../grpc/index.ts";
import {
  decodeBlobRequest,
  decodeUpdateRequest,
  decodeWriteRequest,
  encodeInfo,
  encodeRead,
  encodeWriteResponse,
  WriteAction,
} from "../content/content-messages.ts";
import type { LayoutWriter, OciLayout } from "../content/oci-layout.ts";
import type { SessionService } from "./session-service.ts";

/** A store as the daemon may use it. */
export interface OfferedLayout {
  readonly layout: OciLayout;
  readonly writable: boolean;
}

const service = "/containerd.services.content.v1.Content";

/** containerd's Content service on the session (map b11): OCI layouts to read from, local caches to read and write. */
export class ContentService implements SessionService {
  readonly #layouts: ReadonlyMap<string, OfferedLayout>;

  /** @param layouts by store id: `oci:<name>`, `local:<directory>`, `export` */
  constructor(layouts: ReadonlyMap<string, OfferedLayout>) {
    this.#layouts = layouts;
  }

  register(server: GrpcServer): void {
    server.handle(`${service}/Info`, async (call) => {
      const { layout } = this.#choose(call);
      const { digest } = decodeBlobRequest(await firstMessage(call));
      await call.send(encodeInfo(digest, await sizeOf(layout, parseDigest(digest))));
    });
    // Labels are nowhere kept; containerd updates them after writing and wants the blob's info back.
    server.handle(`${service}/Update`, async (call) => {
      const { layout } = this.#choose(call);
      const { digest } = decodeUpdateRequest(await firstMessage(call));
      await call.send(encodeInfo(digest, await sizeOf(layout, parseDigest(digest))));
    });
    server.handle(`${service}/Read`, (call) => this.#read(call));
    server.handle(`${service}/Write`, (call) => this.#write(call));
    for (const method of ["Status", "Abort"]) {
      server.handle(`${service}/${method}`, async () => {
        throw new BuildError(Code.NotFound, "no such ingest: not found");
      });
    }
  }

  #choose(call: ServerCall): OfferedLayout {
    const id = metadataValue(call.metadata, "buildkit-attachable-store-id") ?? "";
    const found = this.#layouts.get(id);
    if (found === undefined) throw new BuildError(Code.NotFound, `unknown store ${id}: not found`);
    return found;
  }

  async #read(call: ServerCall): Promise<void> {
    const { layout } = this.#choose(call);
    const request = decodeBlobRequest(await firstMessage(call));
    const digest = parseDigest(request.digest);
    const size = await sizeOf(layout, digest);
    if (request.offset > size) throw new BuildError(Code.OutOfRange, `read past object length ${size} bytes`);
    const rest = size - request.offset;
    const length = request.size > 0 ? Math.min(request.size, rest) : rest;
    let { offset } = request;
    if (length === 0) return;
    for await (const data of layout.read(digest, offset, length)) {
      await call.send(encodeRead(offset, data));
      offset += data.length;
    }
  }

  async #write(call: ServerCall): Promise<void> {
    const { layout, writable } = this.#choose(call);
    if (!writable) throw new BuildError(Code.PermissionDenied, "this store may only be read");
    let writer: LayoutWriter | undefined;
    try {
      let expected: Digest | undefined;
      let total = 0;
      for await (const message of call.messages) {
        const request = decodeWriteRequest(message);
        if (request.expected !== "") {
          expected = parseDigest(request.expected);
          if ((await layout.size(expected)) !== undefined) {
            throw new BuildError(Code.AlreadyExists, `content ${expected}: already exists`);
          }
        }
        total = request.total || total;
        writer ??= await layout.write();
        if (request.data.length > 0) {
          if (request.offset !== writer.size) {
            throw new BuildError(
              Code.OutOfRange,
              `write @${request.offset} must occur at current offset ${writer.size}`,
            );
          }
          await writer.append(request.data);
        }
        let digest = "";
        if (request.action === WriteAction.commit) {
          if (total > 0 && total !== writer.size) {
            throw new BuildError(Code.FailedPrecondition, `unexpected commit size ${writer.size}, expected ${total}`);
          }
          digest = await writer.commit(expected);
        }
        await call.send(encodeWriteResponse(request.action, writer.size, total, digest));
        if (digest !== "") return;
      }
    } finally {
      await writer?.[Symbol.asyncDispose]();
    }
  }
}

async function sizeOf(layout: OciLayout, digest: Digest): Promise<number> {
  const size = await layout.size(digest);
  if (size === undefined) throw new BuildError(Code.NotFound, `content ${digest}: not found`);
  return size;
}

async function firstMessage(call: ServerCall): Promise<Uint8Array> {
  for await (const message of call.messages) return message;
  throw new BuildError(Code.Internal, "grpc: no request message");
}
