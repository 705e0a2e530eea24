import { BinaryReader, BinaryWriter } from "@bufbuild/protobuf/wire";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { SessionCaller } from "../../core/seams/session-caller.ts";
import type { Digest } from "../../core/values/digest.ts";
import { serverStream, unaryCall } from "./session-call.ts";

const service = "/containerd.services.content.v1.Content";
const storeKey = "buildkit-attachable-store-id";

/** Field numbers of containerd api/services/content/v1/content.proto. */
const infoResponseInfo = 1;
const infoSize = 2;
const readResponseData = 2;

/**
 * A client's content store as its session offers it (map b11).
 * `storeId` is the whole value, `oci:<name>` or `local:<dir>`.
 */
export class SessionContent {
  readonly #caller: SessionCaller;
  readonly #storeId: string;

  constructor(caller: SessionCaller, storeId: string) {
    this.#caller = caller;
    this.#storeId = storeId;
  }

  /** Bytes of a blob. @throws BuildError as the client answers */
  async size(digest: Digest, signal: AbortSignal): Promise<number> {
    const request = new BinaryWriter().uint32(tag(1, 2)).string(digest).finish();
    const answer = await unaryCall(this.#caller, `${service}/Info`, request, this.#options(signal));
    const info = bytesField(answer, infoResponseInfo);
    if (info === undefined) throw new BuildError(Code.Unknown, `client sent no info about ${digest}`);
    return numberField(info, infoSize);
  }

  /** Unverified bytes from `offset` to the end. */
  async *read(digest: Digest, offset: number, signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    const writer = new BinaryWriter().uint32(tag(1, 2)).string(digest);
    if (offset > 0) writer.uint32(tag(2, 0)).int64(offset);
    for await (const message of serverStream(this.#caller, `${service}/Read`, writer.finish(), this.#options(signal))) {
      const data = bytesField(message, readResponseData);
      if (data !== undefined && data.length > 0) yield data;
    }
  }

  #options(signal: AbortSignal) {
    return { signal, metadata: { [storeKey]: [this.#storeId] } };
  }
}

function tag(field: number, wireType: number): number {
  return (field << 3) | wireType;
}

function bytesField(message: Uint8Array, wanted: number): Uint8Array | undefined {
  const reader = new BinaryReader(message);
  let found: Uint8Array | undefined;
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === wanted && wireType === 2) found = reader.bytes();
    else reader.skip(wireType, field);
  }
  return found;
}

function numberField(message: Uint8Array, wanted: number): number {
  const reader = new BinaryReader(message);
  let found = 0;
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === wanted && wireType === 0) found = Number(reader.int64());
    else reader.skip(wireType, field);
  }
  return found;
}
