import { Status } from "../api/gen/google/rpc/status.ts";
import { BuildError } from "../core/errors/build-error.ts";
import { Code } from "../core/errors/code.ts";
import { decodeBinary, encodeBinary } from "./metadata.ts";

/**
 * Most bytes of details in a trailer; the largest details go first. nghttp2, and so every node peer, gives up on the whole
 * connection when one header is longer than 64 KB, and base64 makes four bytes of three.
 */
const maxDetailsBytes = 47 << 10;
/** Longest message for the same reason: percent-encoding may treble it. */
const maxMessageBytes = 16 << 10;

/** `google.rpc.Status` of an error, details included. */
export function errorToStatus(error: BuildError): Status {
  return {
    code: error.code === Code.OK ? Code.Unknown : error.code,
    message: error.message,
    details: error.details.map((detail) => ({ typeUrl: detail.typeUrl, value: detail.value })),
  };
}

/** The error a peer sent as `google.rpc.Status`; code 0 in an error is a slip of the peer and becomes Unknown. */
export function statusToError(status: Status): BuildError {
  return new BuildError(codeFromNumber(status.code), status.message, {
    details: status.details.map((detail) => ({ typeUrl: detail.typeUrl, value: detail.value })),
  });
}

/** Trailers of an ended call. @param error undefined for OK */
export function statusTrailers(error: BuildError | undefined): Record<string, string> {
  if (error === undefined) return { "grpc-status": "0" };
  const status = errorToStatus(error);
  if (Buffer.byteLength(status.message) > maxMessageBytes) {
    status.message = Buffer.from(status.message).subarray(0, maxMessageBytes).toString();
  }
  const trailers: Record<string, string> = { "grpc-status": String(status.code) };
  if (status.message !== "") trailers["grpc-message"] = encodeStatusMessage(status.message);
  while (status.details.length > 0) {
    const bytes = Status.encode(status).finish();
    if (bytes.length <= maxDetailsBytes) {
      trailers["grpc-status-details-bin"] = encodeBinary(bytes);
      break;
    }
    const largest = Math.max(...status.details.map((detail) => detail.value.length));
    status.details = status.details.filter((detail) => detail.value.length !== largest);
  }
  return trailers;
}

/**
 * Outcome named by a peer's trailers.
 * @param header looks a trailer up by name
 * @returns undefined for OK
 */
export function errorFromTrailers(header: (name: string) => string | undefined): BuildError | undefined {
  const text = header("grpc-status");
  if (text === undefined) return new BuildError(Code.Internal, "server closed the stream without sending trailers");
  const code = Number(text);
  if (code === 0) return undefined;
  const details = header("grpc-status-details-bin");
  if (details !== undefined) {
    try {
      const status = Status.decode(decodeBinary(details));
      if (status.code === code) return statusToError(status);
    } catch {
      // Unreadable details are no reason to lose the code and message.
    }
  }
  return new BuildError(codeFromNumber(code), decodeStatusMessage(header("grpc-message") ?? ""));
}

function codeFromNumber(code: number): Code {
  return Number.isInteger(code) && code >= 1 && code <= 16 ? (code as Code) : Code.Unknown;
}

/** Percent-encoding of `grpc-message`: all but printable ASCII, and the percent sign (grpc/grpc, doc/PROTOCOL-HTTP2.md). */
export function encodeStatusMessage(message: string): string {
  let out = "";
  for (const byte of Buffer.from(message, "utf8")) {
    out +=
      byte >= 0x20 && byte <= 0x7e && byte !== 0x25
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return out;
}

/** The reverse; a percent sign that starts no escape stands for itself. */
export function decodeStatusMessage(text: string): string {
  if (!text.includes("%")) return text;
  const bytes: number[] = [];
  for (let i = 0; i < text.length; i++) {
    const hex = text.slice(i + 1, i + 3);
    if (text[i] === "%" && /^[0-9a-fA-F]{2}$/.test(hex)) {
      bytes.push(Number.parseInt(hex, 16));
      i += 2;
    } else {
      bytes.push(...Buffer.from(text[i] ?? "", "utf8"));
    }
  }
  return Buffer.from(bytes).toString("utf8");
}
