import { BinaryReader } from "@bufbuild/protobuf/wire";

export type AttributeValue = string | number | boolean;

/** A finished span, with ids in hex and times in nanoseconds since 1970. */
export interface SpanRecord {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for the root of a trace. */
  readonly parentSpanId: string;
  readonly name: string;
  /** The work of a server, which another process may have asked for. */
  readonly server: boolean;
  readonly startNanos: bigint;
  readonly endNanos: bigint;
  readonly attributes: Readonly<Record<string, AttributeValue>>;
  /** Message of a failed span, perhaps empty. */
  readonly error?: string;
  /** `service.name` of the process it comes from. */
  readonly service: string;
}

type Field = (reader: BinaryReader) => void;

/**
 * Spans of an encoded `opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest`: what a waterfall shows of them; events,
 * links and values that are lists are left out. Field numbers are those of opentelemetry-proto 1.x.
 * @throws Error when the bytes do not parse
 */
export function decodeSpans(request: Uint8Array): readonly SpanRecord[] {
  const spans: SpanRecord[] = [];
  readMessage(new BinaryReader(request), {
    1: (reader) => spans.push(...resourceSpans(reader.bytes())),
  });
  return spans;
}

function resourceSpans(bytes: Uint8Array): readonly SpanRecord[] {
  const attributes: Record<string, AttributeValue> = {};
  const encoded: Uint8Array[] = [];
  readMessage(new BinaryReader(bytes), {
    1: (reader) => readMessage(new BinaryReader(reader.bytes()), { 1: (inner) => readAttribute(inner, attributes) }),
    2: (reader) => readMessage(new BinaryReader(reader.bytes()), { 2: (inner) => encoded.push(inner.bytes()) }),
  });
  return encoded.map((span) => ({ ...readSpan(span), service: String(attributes["service.name"] ?? "") }));
}

function readSpan(bytes: Uint8Array): Omit<SpanRecord, "service"> {
  const attributes: Record<string, AttributeValue> = {};
  const status = { code: 0, message: "" };
  const span = { traceId: "", spanId: "", parentSpanId: "", name: "", server: false, startNanos: 0n, endNanos: 0n };
  readMessage(new BinaryReader(bytes), {
    1: (reader) => Object.assign(span, { traceId: hex(reader) }),
    2: (reader) => Object.assign(span, { spanId: hex(reader) }),
    4: (reader) => Object.assign(span, { parentSpanId: hex(reader) }),
    5: (reader) => Object.assign(span, { name: reader.string() }),
    6: (reader) => Object.assign(span, { server: reader.int32() === kindServer }),
    7: (reader) => Object.assign(span, { startNanos: BigInt(reader.fixed64()) }),
    8: (reader) => Object.assign(span, { endNanos: BigInt(reader.fixed64()) }),
    9: (reader) => readAttribute(reader, attributes),
    15: (reader) =>
      readMessage(new BinaryReader(reader.bytes()), {
        2: (inner) => Object.assign(status, { message: inner.string() }),
        3: (inner) => Object.assign(status, { code: inner.int32() }),
      }),
  });
  return { ...span, attributes, ...(status.code === statusError ? { error: status.message } : {}) };
}

const kindServer = 2;
const statusError = 2;

function readAttribute(reader: BinaryReader, into: Record<string, AttributeValue>): void {
  let key = "";
  let value: AttributeValue | undefined;
  readMessage(new BinaryReader(reader.bytes()), {
    1: (inner) => {
      key = inner.string();
    },
    2: (inner) =>
      readMessage(new BinaryReader(inner.bytes()), {
        1: (any) => {
          value = any.string();
        },
        2: (any) => {
          value = any.bool();
        },
        3: (any) => {
          value = Number(any.int64());
        },
        4: (any) => {
          value = any.double();
        },
      }),
  });
  if (value !== undefined) into[key] = value;
}

function hex(reader: BinaryReader): string {
  return Buffer.from(reader.bytes()).toString("hex");
}

function readMessage(reader: BinaryReader, fields: Readonly<Record<number, Field>>): void {
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    const read = fields[field];
    if (read === undefined) reader.skip(wireType);
    else read(reader);
  }
}
