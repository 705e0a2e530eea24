import { BinaryReader, BinaryWriter } from "@bufbuild/protobuf/wire";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { ContentStore } from "../../core/seams/content-store.ts";
import { parseDigest } from "../../core/values/digest.ts";
import type { GrpcServer, MessageCodec, ServerCall } from "../../grpc/index.ts";
import { decodeMessage, unary } from "../../grpc/index.ts";
import { timestampFromMs } from "./timestamp.ts";

/** Blobs that clients may read: attestations, traces and logs that history records name. */
export type ReadableContent = Pick<ContentStore, "stat" | "read">;

/** Field numbers of containerd api/services/content/v1/content.proto; this service sends and takes little of it. */
interface ContentRequest {
  /** 1: digest of Info and Read. */
  readonly digest: string;
  readonly offset: number;
  readonly size: number;
}

const requestCodec: MessageCodec<ContentRequest> = {
  encode: (request) => new BinaryWriter().uint32(10).string(request.digest),
  decode: (bytes) => {
    const reader = new BinaryReader(bytes);
    const request = { digest: "", offset: 0, size: 0 };
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      if (tag === 10) request.digest = reader.string();
      else if (tag === 16) request.offset = Number(reader.int64());
      else if (tag === 24) request.size = Number(reader.int64());
      else reader.skip(tag & 7);
    }
    return request;
  },
};

interface BlobInfo {
  readonly digest: string;
  readonly size: number;
  readonly createdAt: number;
}

const infoResponseCodec: MessageCodec<BlobInfo> = {
  encode: (info) => {
    const writer = new BinaryWriter().uint32(10).fork();
    writer.uint32(10).string(info.digest).uint32(16).int64(info.size);
    const { seconds, nanos } = timestampFromMs(info.createdAt);
    for (const field of [26, 34]) {
      writer.uint32(field).fork().uint32(8).int64(seconds).uint32(16).int32(nanos).join();
    }
    return writer.join();
  },
  decode: () => {
    throw new BuildError(Code.Internal, "content info is only sent");
  },
};

/** Registers containerd's Content service, read-only as BuildKit serves it (control/control.go, map a11). */
export function serveContent(server: GrpcServer, content: ReadableContent | undefined): void {
  const name = (method: string) => `/containerd.services.content.v1.Content/${method}`;
  const find = async (digest: string): Promise<BlobInfo> => {
    const stat = await content?.stat(parseDigest(digest));
    if (stat === undefined) throw new BuildError(Code.NotFound, `content ${digest}: not found`);
    return stat;
  };
  server.handle(
    name("Info"),
    unary(requestCodec, infoResponseCodec, (request) => find(request.digest)),
  );
  server.handle(name("Read"), async (call) => {
    for await (const bytes of call.messages) {
      const request = decodeMessage(requestCodec, bytes);
      const info = await find(request.digest);
      await sendBlob(call, content, request, info.size);
      return;
    }
  });
  // Lists the workers' own blobs in BuildKit, never those of history records; here the former stay with the agents.
  server.handle(name("List"), async () => {});
  for (const method of ["Write", "Update", "Delete", "Abort"]) {
    server.handle(name(method), async () => {
      throw new BuildError(Code.Unknown, "read-only content store");
    });
  }
}

async function sendBlob(
  call: ServerCall,
  content: ReadableContent | undefined,
  request: ContentRequest,
  blobSize: number,
): Promise<void> {
  const offset = Math.max(request.offset, 0);
  if (offset > blobSize) throw new BuildError(Code.OutOfRange, `read past object length ${blobSize} bytes`);
  const rest = blobSize - offset;
  const length = request.size <= 0 ? rest : Math.min(request.size, rest);
  if (length === 0) return;
  let sent = 0;
  for await (const data of content?.read(parseDigest(request.digest), { offset, length }, call.signal) ?? []) {
    const message = new BinaryWriter();
    if (sent > 0) message.uint32(8).int64(sent);
    await call.send(message.uint32(18).bytes(data).finish());
    sent += data.length;
  }
}
