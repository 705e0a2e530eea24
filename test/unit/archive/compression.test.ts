import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import {
  compress,
  compressionOfMediaType,
  decompress,
  layerMediaType,
} from "../../../src/archive/compression/index.ts";
import { BuildError } from "../../../src/core/errors/build-error.ts";
import { Code } from "../../../src/core/errors/code.ts";

/** 10 MB, so that there are several blocks, and not so regular that it compresses to nothing. */
const text = Buffer.from(Array.from({ length: 700_000 }, (_, index) => `line ${(index * 7919) % 104_729}\n`).join(""));

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function collect(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytes) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const hasCode = (code: number) => (error: unknown) => error instanceof BuildError && error.code === code;

describe("compress()", () => {
  it("writes gzip that others read, for every level and size", async () => {
    for (const level of [-1, 0, 1, 9]) {
      for (const bytes of [text, text.subarray(0, 1024 * 1024), text.subarray(0, 5), new Uint8Array(0)]) {
        const packed = await collect(compress(pieces(bytes, 100_000), { type: "gzip", level }));
        assert.ok(gunzipSync(packed).equals(bytes));
      }
    }
  });

  it("writes zstd frames, the first of which anybody reads", async () => {
    const packed = await collect(compress(pieces(text, 100_000), { type: "zstd", level: 3 }));
    assert.ok((await collect(decompress(pieces(packed, 5000)))).equals(text));
    assert.ok(packed.length < text.length / 3);
    const short = await collect(compress(pieces(text.subarray(0, 50_000), 100), { type: "zstd" }));
    assert.ok(zstdDecompressSync(short).equals(text.subarray(0, 50_000)));
  });

  it("does not depend on how the bytes arrive", async () => {
    for (const type of ["gzip", "zstd"] as const) {
      const small = await collect(compress(pieces(text, 777), { type }));
      const large = await collect(compress(pieces(text, 3_000_000), { type }));
      assert.ok(small.equals(large), type);
    }
  });

  it("passes errors of its input on", async () => {
    const failing = async function* () {
      yield text;
      throw new Error("source broke");
    };
    for (const type of ["uncompressed", "gzip", "zstd"] as const) {
      await assert.rejects(collect(compress(failing(), { type })), /source broke/);
    }
  });

  it("refuses levels out of range", () => {
    assert.throws(() => compress(pieces(text, 10), { type: "gzip", level: 10 }), hasCode(Code.InvalidArgument));
    assert.throws(() => compress(pieces(text, 10), { type: "zstd", level: 23 }), hasCode(Code.InvalidArgument));
  });
});

describe("decompress()", () => {
  const skippable = Buffer.from("502a4d180300000061626364".slice(0, 22), "hex");
  const blobs: Record<string, Buffer> = {
    gzip: gzipSync(text),
    "gzip of several members": Buffer.concat([gzipSync(text.subarray(0, 999)), gzipSync(text.subarray(999))]),
    zstd: zstdCompressSync(text),
    "zstd of several frames": Buffer.concat([
      zstdCompressSync(text.subarray(0, 999)),
      zstdCompressSync(text.subarray(999)),
    ]),
    "zstd after a skippable frame": Buffer.concat([skippable, zstdCompressSync(text)]),
    "zstd before a skippable frame": Buffer.concat([zstdCompressSync(text), skippable]),
    "no compression": text,
  };
  for (const [what, blob] of Object.entries(blobs)) {
    it(`reads ${what}`, async () => {
      for (const size of [10_000, 20_000_000]) {
        assert.ok((await collect(decompress(pieces(blob, size)))).equals(text));
      }
    });
  }

  it("reads input shorter than any magic number", async () => {
    assert.equal((await collect(decompress(pieces(Buffer.from("ab"), 1)))).toString(), "ab");
    assert.equal((await collect(decompress(pieces(Buffer.alloc(0), 1)))).length, 0);
  });

  it("refuses corrupt and cut input", async () => {
    for (const blob of [gzipSync(text), zstdCompressSync(text)]) {
      const corrupt = Buffer.from(blob);
      corrupt.fill(0xaa, 20_000, 21_000);
      await assert.rejects(collect(decompress(pieces(corrupt, 10_000))), hasCode(Code.DataLoss));
      await assert.rejects(collect(decompress(pieces(blob.subarray(0, -20), 10_000))), hasCode(Code.DataLoss));
    }
  });

  it("stops at the limit", async () => {
    const bomb = gzipSync(Buffer.alloc(50_000_000));
    await assert.rejects(
      collect(decompress(pieces(bomb, 1000), { maxBytes: 1_000_000 })),
      hasCode(Code.ResourceExhausted),
    );
  });

  it("ends its input when the reader goes away", async () => {
    let ended = false;
    const endless = async function* () {
      try {
        yield gzipSync(text);
        for (;;) yield gzipSync(text);
      } finally {
        ended = true;
      }
    };
    for await (const _chunk of decompress(endless())) break;
    assert.ok(ended);
  });
});

describe("layer media types", () => {
  it("name and are named", () => {
    for (const oci of [true, false]) {
      for (const type of ["uncompressed", "gzip", "zstd"] as const) {
        assert.equal(compressionOfMediaType(layerMediaType(type, oci)), type);
      }
    }
    assert.equal(compressionOfMediaType("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"), "gzip");
    assert.throws(() => compressionOfMediaType("application/octet-stream"), hasCode(Code.InvalidArgument));
  });
});
