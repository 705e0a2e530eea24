import { open } from "node:fs/promises";
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import type { BenchCase } from "../cases/bench-case.ts";
import { Keystream, sampleText } from "../data/keystream.ts";
import type { Figure } from "../figure.ts";

const chunkBytes = 4 << 20;
const chunks = 8;

/** What it would cost to compress chunks on the wire: it pays on links slower than a processor compresses. */
export const wireCompression: BenchCase = {
  name: "micro-compression",
  about: "zstd level 1 of 4 MiB chunks on one core: text, a program, what does not compress",
  async run(bench) {
    const samples: Readonly<Record<string, readonly Buffer[]>> = {
      text: Array.from({ length: chunks }, (_, seed) => sampleText(chunkBytes, seed)),
      program: await program(),
      incompressible: Array.from({ length: chunks }, (_, seed) => new Keystream(seed).bytes(chunkBytes)),
    };
    const params = { [constants.ZSTD_c_compressionLevel]: 1 };
    const figures: Figure[] = [];
    for (const [name, sample] of Object.entries(samples)) {
      const bytes = sample.length * chunkBytes;
      const packed = sample.map((chunk) => zstdCompressSync(chunk, { params }));
      const perSecond = (work: () => void) => async () => {
        const { user, system } = process.cpuUsage();
        work();
        const after = process.cpuUsage();
        return bytes / (after.user + after.system - user - system);
      };
      const compress = perSecond(() => {
        for (const chunk of sample) zstdCompressSync(chunk, { params });
      });
      const decompress = perSecond(() => {
        for (const chunk of packed) zstdDecompressSync(chunk);
      });
      figures.push(
        await bench.sample(`zstd of ${name}, per second of CPU`, "MB/s", bench.rounds(3), compress),
        await bench.sample(`zstd of ${name} undone, per second of CPU`, "MB/s", bench.rounds(3), decompress),
        {
          name: `zstd of ${name}, times as small`,
          unit: "×",
          ours: [bytes / packed.reduce((sum, p) => sum + p.length, 0)],
        },
      );
    }
    return figures;
  },
};

/** Pieces of the program that runs this, as images have them. */
async function program(): Promise<Buffer[]> {
  await using file = await open(process.execPath);
  const { size } = await file.stat();
  const pieces: Buffer[] = [];
  for (let index = 0; index < chunks; index++) {
    const piece = Buffer.alloc(chunkBytes);
    await file.read(piece, 0, chunkBytes, Math.floor(((size - chunkBytes) / chunks) * index));
    pieces.push(piece);
  }
  return pieces;
}
