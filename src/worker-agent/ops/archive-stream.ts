import { spawn } from "node:child_process";
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";

/** The uncompressed bytes of a tar archive. Dispose stops reading and any helper process. */
export interface ArchiveStream extends AsyncDisposable {
  readonly bytes: AsyncIterable<Uint8Array>;
}

const blockBytes = 512;

/**
 * Opens a regular file as a tar archive: plain, or compressed with gzip, bzip2, xz or zstd. bzip2 and xz are read by the
 * programs of that name, as containerd does with xz; where one is missing, such a file is no archive.
 * @returns undefined when the content does not begin with a tar header (BuildKit solver/llbsolver/file/unpack.go)
 */
export async function openArchive(path: string | Buffer): Promise<ArchiveStream | undefined> {
  const stream = decompress(path, await readStart(path));
  const dispose = async () => {
    stream.destroy();
  };
  try {
    const chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
    const head = await readHead(chunks);
    if (!isTarHeader(head)) {
      await dispose();
      return undefined;
    }
    return { bytes: replay(head, chunks), [Symbol.asyncDispose]: dispose };
  } catch {
    // What cannot be decompressed is not an archive but a file to copy.
    await dispose();
    return undefined;
  }
}

async function readStart(path: string | Buffer): Promise<Uint8Array> {
  await using file = await open(path, "r");
  const buffer = Buffer.alloc(8);
  const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
  return buffer.subarray(0, bytesRead);
}

const magics: readonly { readonly bytes: readonly number[]; readonly open: (input: Readable) => Readable }[] = [
  { bytes: [0x1f, 0x8b, 0x08], open: (input) => through(input, createGunzip()) },
  { bytes: [0x28, 0xb5, 0x2f, 0xfd], open: (input) => through(input, createZstdDecompress()) },
  { bytes: [0x42, 0x5a, 0x68], open: (input) => throughProgram(input, "bzip2", ["-d", "-c"]) },
  { bytes: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], open: (input) => throughProgram(input, "xz", ["-d", "-c", "-q"]) },
];

function decompress(path: string | Buffer, start: Uint8Array): Readable {
  const magic = magics.find(({ bytes }) => bytes.every((byte, i) => start[i] === byte));
  const input = createReadStream(path, { highWaterMark: 256 << 10 });
  return magic === undefined ? input : magic.open(input);
}

function through(input: Readable, codec: NodeJS.ReadWriteStream & Readable): Readable {
  pipeline(input, codec, () => {});
  return codec;
}

function throughProgram(input: Readable, program: string, args: readonly string[]): Readable {
  const child = spawn(program, [...args], { stdio: ["pipe", "pipe", "ignore"] });
  const output = child.stdout;
  child.on("error", (error) => output.destroy(error));
  child.on("close", (code) => {
    if (code !== 0 && code !== null && !output.destroyed) output.destroy(new Error(`${program} exited with ${code}`));
  });
  output.on("close", () => {
    input.destroy();
    child.kill("SIGKILL");
  });
  pipeline(input, child.stdin, () => {});
  return output;
}

async function readHead(chunks: AsyncIterator<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  while (length < blockBytes) {
    const next = await chunks.next();
    if (next.done) break;
    parts.push(next.value);
    length += next.value.length;
  }
  return Buffer.concat(parts);
}

async function* replay(head: Uint8Array, chunks: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield head;
  for (;;) {
    const next = await chunks.next();
    if (next.done) return;
    yield next.value;
  }
}

/** A block whose checksum field is right (POSIX pax, ustar header). A block of zeros is the end of an archive, not an archive. */
function isTarHeader(block: Uint8Array): boolean {
  if (block.length < blockBytes) return false;
  const field = Buffer.from(block.subarray(148, 156))
    .toString("latin1")
    .replace(/[\0 ]+$/, "")
    .trim();
  if (!/^[0-7]+$/.test(field)) return false;
  let unsigned = 0;
  let signed = 0;
  for (let i = 0; i < blockBytes; i++) {
    const byte = i >= 148 && i < 156 ? 32 : (block[i] as number);
    unsigned += byte;
    signed += byte > 127 ? byte - 256 : byte;
  }
  const checksum = Number.parseInt(field, 8);
  return checksum === unsigned || checksum === signed;
}
