import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";

/**
 * gRPC metadata: lower-case keys, each with its values in order. Values of keys that end in `-bin` are base64 text
 * (grpc/grpc, doc/PROTOCOL-HTTP2.md); `binaryValue` and `encodeBinary` convert them.
 */
export type Metadata = Readonly<Record<string, readonly string[]>>;

/** Names that belong to HTTP/2 or gRPC itself and are no metadata. */
const reserved = new Set(["content-type", "te", "user-agent", "connection", "host"]);

/**
 * Metadata from the flat name/value list that node:http2 hands out beside its header object. The object is no use here: it
 * joins repeated values with ", " and so makes one value with a comma look like two.
 */
export function metadataFromRaw(raw: readonly string[]): Metadata {
  const metadata: Record<string, string[]> = Object.create(null);
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const key = (raw[i] ?? "").toLowerCase();
    const value = raw[i + 1] ?? "";
    if (key.startsWith(":") || key.startsWith("grpc-") || reserved.has(key)) continue;
    // Intermediaries may join binary values with commas, which base64 does not contain.
    const values = key.endsWith("-bin") ? value.split(",").map((part) => part.trim()) : [value];
    const known = metadata[key];
    if (known === undefined) metadata[key] = values;
    else known.push(...values);
  }
  return metadata;
}

/** First value of a header in a flat name/value list. */
export function rawHeader(raw: readonly string[], name: string): string | undefined {
  for (let i = 0; i + 1 < raw.length; i += 2) {
    if (raw[i] === name) return raw[i + 1];
  }
  return undefined;
}

/**
 * Header object for node:http2; every value becomes a header line of its own.
 * @throws BuildError Internal for names or values that HTTP/2 does not carry
 */
export function metadataToHeaders(metadata: Metadata | undefined): Record<string, string[]> {
  const headers: Record<string, string[]> = {};
  for (const [key, values] of Object.entries(metadata ?? {})) {
    const name = key.toLowerCase();
    if (name.startsWith(":") || name.startsWith("grpc-") || reserved.has(name)) continue;
    if (!/^[0-9a-z_.-]+$/.test(name)) {
      throw new BuildError(Code.Internal, `header key ${JSON.stringify(name)} contains illegal characters`);
    }
    if (!values.every((value) => /^[\x20-\x7e]*$/.test(value))) {
      throw new BuildError(
        Code.Internal,
        `header key ${JSON.stringify(name)} contains value with non-printable ASCII characters`,
      );
    }
    const known = headers[name];
    if (known === undefined) headers[name] = [...values];
    else known.push(...values);
  }
  return headers;
}

/** First value of a key. */
export function metadataValue(metadata: Metadata, key: string): string | undefined {
  return metadata[key]?.[0];
}

/** Value for a `-bin` key: base64 without padding. */
export function encodeBinary(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64").replace(/=+$/, "");
}

/** Bytes of a `-bin` value, padded or not. */
export function decodeBinary(text: string): Uint8Array {
  return Buffer.from(text, "base64");
}
