import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { BuildError } from "../../core/errors/build-error.ts";
import { Code } from "../../core/errors/code.ts";
import type { SessionCaller, SessionStream } from "../../core/seams/session-caller.ts";
import type { Descriptor } from "../../core/values/descriptor.ts";
import type { Digest } from "../../core/values/digest.ts";

const service = "/containerd.services.content.v1.Content";
const storeKey = "buildkit-attachable-store-id";

/** containerd api/services/content/v1/content.proto, WriteAction. */
const Action = { stat: 0, write: 1, commit: 2 } as const;
/** Clients take up to 4 MiB a message. */
const messageBytes = 1 << 20;

/**
 * A content store that a build's client offers through its session (map b11): blobs by digest, kept by the client.
 * @param storeId the whole value, `local:<directory>`
 */
export class ClientContent {
  readonly #caller: SessionCaller;
  readonly #storeId: string;

  constructor(caller: SessionCaller, storeId: string) {
    this.#caller = caller;
    this.#storeId = storeId;
  }

  /** Bytes of a blob. @throws BuildError NotFound, … as the client answers */
  async size(digest: Digest, signal: AbortSignal): Promise<number> {
    await using stream = this.#open("Info", signal);
    await stream.send(new BinaryWriter().uint32(tag(1, WireType.LengthDelimited)).string(digest).finish());
    stream.closeSend();
    for await (const answer of stream.messages) {
      const info = fields(answer).bytes.get(1);
      if (info !== undefined) return fields(info).numbers.get(2) ?? 0;
    }
    throw new BuildError(Code.Unknown, `client sent no info about ${digest}`);
  }

  /** A small blob, whole; its size is checked, its digest is not. @throws BuildError as the client answers; DataLoss */
  async read({ digest, size }: Descriptor, signal: AbortSignal): Promise<Uint8Array> {
    await using stream = this.#open("Read", signal);
    await stream.send(new BinaryWriter().uint32(tag(1, WireType.LengthDelimited)).string(digest).finish());
    stream.closeSend();
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const answer of stream.messages) {
      const data = fields(answer).bytes.get(2);
      if (data === undefined) continue;
      chunks.push(data);
      length += data.length;
      if (length > size) break;
    }
    if (length === size) return Buffer.concat(chunks);
    throw new BuildError(Code.DataLoss, `client sent ${length} of ${size} bytes of ${digest}`);
  }

  /**
   * Writes a blob unless the client has it. A write that an earlier call left unfinished is begun anew.
   * @param open the bytes, asked for once it is known that they are wanted
   * @returns false when the client had it
   */
  async write(
    { digest, size }: Pick<Descriptor, "digest" | "size">,
    open: () => AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<boolean> {
    await using stream = this.#open("Write", signal);
    const answers = stream.messages[Symbol.asyncIterator]();
    const known = { ref: `buildfleet-${digest}`, total: size, expected: digest };
    try {
      await exchange(stream, answers, { action: Action.stat, ...known });
      // The commit carries the last bytes: of a small blob, all.
      let last: { readonly offset: number; readonly data: Uint8Array } = { offset: 0, data: new Uint8Array() };
      for await (const chunk of open()) {
        for (let at = 0; at < chunk.length; at += messageBytes) {
          if (last.data.length > 0) await exchange(stream, answers, { action: Action.write, ref: known.ref, ...last });
          last = { offset: last.offset + last.data.length, data: chunk.subarray(at, at + messageBytes) };
        }
      }
      await exchange(stream, answers, { action: Action.commit, ...known, ...last });
      stream.closeSend();
      return true;
    } catch (error) {
      if (error instanceof BuildError && error.code === Code.AlreadyExists) return false;
      throw error;
    }
  }

  #open(method: string, signal: AbortSignal): SessionStream {
    return this.#caller.open(`${service}/${method}`, { signal, metadata: { [storeKey]: [this.#storeId] } });
  }
}

interface WriteRequest {
  readonly action: number;
  readonly ref: string;
  readonly total?: number;
  readonly expected?: Digest;
  readonly offset?: number;
  readonly data?: Uint8Array;
}

/** One request and its answer: never more than one chunk is on its way. */
async function exchange(
  stream: SessionStream,
  answers: AsyncIterator<Uint8Array>,
  request: WriteRequest,
): Promise<void> {
  try {
    await stream.send(encodeWrite(request));
  } catch (error) {
    // A send fails once the call has ended: its status says why.
    await answers.next();
    throw error;
  }
  if ((await answers.next()).done) throw new BuildError(Code.Unknown, "client ended the write early");
}

function encodeWrite(request: WriteRequest): Uint8Array {
  const writer = new BinaryWriter();
  if (request.action !== Action.stat) writer.uint32(tag(1, WireType.Varint)).int32(request.action);
  writer.uint32(tag(2, WireType.LengthDelimited)).string(request.ref);
  if (request.total !== undefined) writer.uint32(tag(3, WireType.Varint)).int64(request.total);
  if (request.expected !== undefined) writer.uint32(tag(4, WireType.LengthDelimited)).string(request.expected);
  if (request.offset) writer.uint32(tag(5, WireType.Varint)).int64(request.offset);
  if (request.data?.length) writer.uint32(tag(6, WireType.LengthDelimited)).bytes(request.data);
  return writer.finish();
}

function tag(field: number, type: WireType): number {
  return (field << 3) | type;
}

function fields(message: Uint8Array) {
  const reader = new BinaryReader(message);
  const bytes = new Map<number, Uint8Array>();
  const numbers = new Map<number, number>();
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (type === WireType.LengthDelimited) bytes.set(field, reader.bytes());
    else if (type === WireType.Varint) numbers.set(field, Number(reader.int64()));
    else reader.skip(type, field);
  }
  return { bytes, numbers };
}
