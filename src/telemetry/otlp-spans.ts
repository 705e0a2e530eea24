import { BinaryReader } from "@bufbuild/protobuf/wire";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";

type Scalar = string | number | boolean;
export type AttributeValue = Scalar | readonly Scalar[];
export type Attributes = Readonly<Record<string, AttributeValue>>;

/** In the order of their numbers in OTLP, beginning with 1. */
export const spanKinds = ["internal", "server", "client", "producer", "consumer"] as const;

export interface SpanEvent {
  readonly name: string;
  readonly nanos: bigint;
  readonly attributes: Attributes;
}

/** A finished span, with ids in hex and times in nanoseconds since 1970. */
export interface SpanRecord {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty for the root of a trace. */
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: (typeof spanKinds)[number];
  readonly startNanos: bigint;
  readonly endNanos: bigint;
  readonly attributes: Attributes;
  readonly events: readonly SpanEvent[];
  /** Message of a failed span, perhaps empty. */
  readonly error?: string;
  /** `service.name` of the process it comes from. */
  readonly service: string;
}

type Field = (reader: BinaryReader) => void;

/**
 * Spans of an encoded `opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest`: without their
 * links and what nests deeper than a list. Field numbers are those of opentelemetry-proto 1.x.
 * @throws BuildError InvalidArgument when the bytes do not parse
 */
export function decodeSpans(request: Uint8Array): readonly SpanRecord[] {
  const spans: SpanRecord[] = [];
  try {
    readMessage(new BinaryReader(request), {
      1: (reader) => spans.push(...resourceSpans(reader.bytes())),
    });
  } catch (cause) {
    throw new BuildError(Code.InvalidArgument, `spans cannot be read: ${(cause as Error).message}`, { cause });
  }
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
  const events: SpanEvent[] = [];
  const span = {
    ...{ traceId: "", spanId: "", parentSpanId: "", name: "" },
    ...{ kind: "internal" as SpanRecord["kind"], startNanos: 0n, endNanos: 0n },
  };
  readMessage(new BinaryReader(bytes), {
    1: (reader) => Object.assign(span, { traceId: hex(reader) }),
    2: (reader) => Object.assign(span, { spanId: hex(reader) }),
    4: (reader) => Object.assign(span, { parentSpanId: hex(reader) }),
    5: (reader) => Object.assign(span, { name: reader.string() }),
    6: (reader) => Object.assign(span, { kind: spanKinds[reader.int32() - 1] ?? "internal" }),
    7: (reader) => Object.assign(span, { startNanos: BigInt(reader.fixed64()) }),
    8: (reader) => Object.assign(span, { endNanos: BigInt(reader.fixed64()) }),
    9: (reader) => readAttribute(reader, attributes),
    11: (reader) => events.push(readEvent(reader.bytes())),
    15: (reader) =>
      readMessage(new BinaryReader(reader.bytes()), {
        2: (inner) => Object.assign(status, { message: inner.string() }),
        3: (inner) => Object.assign(status, { code: inner.int32() }),
      }),
  });
  return { ...span, attributes, events, ...(status.code === statusError ? { error: status.message } : {}) };
}

const statusError = 2;

function readEvent(bytes: Uint8Array): SpanEvent {
  const attributes: Record<string, AttributeValue> = {};
  const event = { name: "", nanos: 0n };
  readMessage(new BinaryReader(bytes), {
    1: (reader) => Object.assign(event, { nanos: BigInt(reader.fixed64()) }),
    2: (reader) => Object.assign(event, { name: reader.string() }),
    3: (reader) => readAttribute(reader, attributes),
  });
  return { ...event, attributes };
}

function readAttribute(reader: BinaryReader, into: Record<string, AttributeValue>): void {
  let key = "";
  let value: AttributeValue | undefined;
  readMessage(new BinaryReader(reader.bytes()), {
    1: (inner) => {
      key = inner.string();
    },
    2: (inner) => {
      value = readValue(inner.bytes());
    },
  });
  if (value !== undefined) into[key] = value;
}

/** @returns undefined for maps and bytes */
function readValue(bytes: Uint8Array): AttributeValue | undefined {
  let value: AttributeValue | undefined;
  const scalar = (read: (any: BinaryReader) => Scalar) => (any: BinaryReader) => {
    value = read(any);
  };
  readMessage(new BinaryReader(bytes), {
    1: scalar((any) => any.string()),
    2: scalar((any) => any.bool()),
    3: scalar((any) => Number(any.int64())),
    4: scalar((any) => any.double()),
    5: (any) => {
      const list: Scalar[] = [];
      readMessage(new BinaryReader(any.bytes()), {
        1: (inner) => {
          const item = readValue(inner.bytes());
          if (item !== undefined && !isList(item)) list.push(item);
        },
      });
      value = list;
    },
  });
  return value;
}

function isList(value: AttributeValue): value is readonly Scalar[] {
  return Array.isArray(value);
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
