import { BinaryReader, BinaryWriter } from "@bufbuild/protobuf/wire";

/** containerd api/services/content/v1/content.proto, as far as a client's store needs it. */
export const WriteAction = { stat: 0, write: 1, commit: 2 } as const;

export interface BlobRequest {
  readonly digest: string;
  readonly offset: number;
  /** 0 = to the end. */
  readonly size: number;
}

/** InfoRequest and ReadContentRequest. */
export function decodeBlobRequest(bytes: Uint8Array): BlobRequest {
  const request = { digest: "", offset: 0, size: 0 };
  eachField(bytes, (tag, reader) => {
    if (tag === 10) request.digest = reader.string();
    else if (tag === 16) request.offset = Number(reader.int64());
    else if (tag === 24) request.size = Number(reader.int64());
    else return false;
    return true;
  });
  return request;
}

/** UpdateRequest{info=1}; an Info's digest has the number of a request's. */
export function decodeUpdateRequest(bytes: Uint8Array): Pick<BlobRequest, "digest"> {
  let info: Uint8Array = new Uint8Array();
  eachField(bytes, (tag, reader) => {
    if (tag !== 10) return false;
    info = reader.bytes();
    return true;
  });
  return decodeBlobRequest(info);
}

export interface WriteRequest {
  readonly action: number;
  readonly ref: string;
  readonly total: number;
  readonly expected: string;
  readonly offset: number;
  readonly data: Uint8Array;
}

export function decodeWriteRequest(bytes: Uint8Array): WriteRequest {
  const request = { action: 0, ref: "", total: 0, expected: "", offset: 0, data: new Uint8Array() as Uint8Array };
  eachField(bytes, (tag, reader) => {
    if (tag === 8) request.action = reader.int32();
    else if (tag === 18) request.ref = reader.string();
    else if (tag === 24) request.total = Number(reader.int64());
    else if (tag === 34) request.expected = reader.string();
    else if (tag === 40) request.offset = Number(reader.int64());
    else if (tag === 50) request.data = reader.bytes();
    else return false;
    return true;
  });
  return request;
}

export function encodeInfo(digest: string, size: number): Uint8Array {
  return new BinaryWriter().uint32(10).fork().uint32(10).string(digest).uint32(16).int64(size).join().finish();
}

export function encodeRead(offset: number, data: Uint8Array): Uint8Array {
  return new BinaryWriter().uint32(8).int64(offset).uint32(18).bytes(data).finish();
}

/** InfoRequest, and ReadContentRequest for all of a blob. */
export function encodeBlobRequest(digest: string): Uint8Array {
  return new BinaryWriter().uint32(10).string(digest).finish();
}

/** The data of a ReadContentResponse. */
export function decodeRead(bytes: Uint8Array): Uint8Array {
  let data: Uint8Array = new Uint8Array();
  eachField(bytes, (tag, reader) => {
    if (tag !== 18) return false;
    data = reader.bytes();
    return true;
  });
  return data;
}

export function encodeWriteResponse(action: number, offset: number, total: number, digest: string): Uint8Array {
  const writer = new BinaryWriter().uint32(8).int32(action).uint32(32).int64(offset).uint32(40).int64(total);
  return (digest === "" ? writer : writer.uint32(50).string(digest)).finish();
}

/** @param read answers false for fields that it does not know */
function eachField(bytes: Uint8Array, read: (tag: number, reader: BinaryReader) => boolean): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (!read(tag, reader)) reader.skip(tag & 7);
  }
}
