/**
 * Messages between ProcessSpawner and its helper, over one unix socket connection per process:
 * 4 bytes big-endian length of the rest, 1 byte type, payload. Kept free of imports from the project: the helper loads it.
 */
export const FrameType = {
  /** To the helper, once, first: JSON SpawnRequest. */
  Request: 1,
  /** To the helper: bytes for the child's stdin. */
  Stdin: 2,
  /** To the helper: end of stdin. */
  StdinEnd: 3,
  /** From the helper: decimal pid. */
  Started: 10,
  Stdout: 11,
  Stderr: 12,
  /** From the helper, last: JSON ExitStatus. */
  Exited: 13,
  /** From the helper, last: JSON SpawnFailure. */
  Failed: 14,
} as const;

export interface SpawnRequest {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly stdin: boolean;
  /** Terminal device for stdin, stdout and stderr; empty for pipes. */
  readonly terminal: string;
}

export interface SpawnFailure {
  readonly errno: string;
  readonly message: string;
}

/** How a process ended; one of the two is null. */
export interface ExitStatus {
  readonly code: number | null;
  readonly signal: string | null;
}

export interface Frame {
  readonly type: number;
  readonly payload: Buffer;
}

const headerSize = 5;

export function encodeFrameHeader(type: number, payloadBytes: number): Buffer {
  const header = Buffer.allocUnsafe(headerSize);
  header.writeUInt32BE(payloadBytes + 1, 0);
  header[4] = type;
  return header;
}

export function encodeFrame(type: number, payload: Uint8Array | string): Buffer {
  const body = typeof payload === "string" ? Buffer.from(payload) : payload;
  return Buffer.concat([encodeFrameHeader(type, body.length), body]);
}

/** Cuts a byte stream into frames; a frame's payload is a view of the chunk it came in where it lies in one chunk. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): Frame[] {
    let data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const frames: Frame[] = [];
    while (data.length >= headerSize) {
      const length = data.readUInt32BE(0);
      if (data.length < 4 + length) break;
      frames.push({ type: data.readUInt8(4), payload: data.subarray(headerSize, 4 + length) });
      data = data.subarray(4 + length);
    }
    this.#rest = data;
    return frames;
  }
}
