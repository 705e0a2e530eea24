import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { gunzipSync } from "node:zlib";
import { Estargz, withoutToc } from "../../../src/archive/estargz/index.ts";
import {
  encodeTarHeader,
  paddingBytes,
  type TarHeader,
  TarReader,
  TarType,
  tarHeader,
  tarTrailer,
} from "../../../src/archive/tar/index.ts";
import { byteString, byteStringFrom } from "../../../src/util/sys/index.ts";

interface Entry extends Omit<Partial<TarHeader>, "name">, Pick<TarHeader, "name"> {
  readonly data?: string | Uint8Array;
}

const time = { mtimeNs: 1_700_000_000_000_000_000n };

function archive(entries: readonly Entry[]): Buffer {
  const parts = entries.flatMap(({ data = "", ...header }) => {
    const bytes = Buffer.from(data);
    const full = tarHeader({ type: TarType.File, mode: 0o644, ...time, ...header, size: bytes.length });
    return [encodeTarHeader(full), bytes, new Uint8Array(paddingBytes(bytes.length))];
  });
  return Buffer.concat([...parts, tarTrailer]);
}

async function pack(bytes: Uint8Array, options: { readonly level?: number; readonly pieceBytes?: number } = {}) {
  const input = async function* () {
    const { pieceBytes = 100_000 } = options;
    for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
  };
  const packing = new Estargz(input(), options.level);
  const parts: Uint8Array[] = [];
  for await (const part of packing) parts.push(part);
  return { blob: Buffer.concat(parts), facts: packing.facts };
}

/** As a lazy snapshotter reads it: by the footer. */
function tocOf(blob: Buffer): { readonly archive: Buffer; readonly text: string; readonly offset: number } {
  const footer = blob.subarray(-51);
  assert.equal(footer.subarray(0, 16).toString("hex"), "1f8b08040000000000ff1a0053471600");
  assert.equal(footer.subarray(32).toString("latin1"), `STARGZ\x01\x00\x00\xff\xff${"\0".repeat(8)}`);
  const offset = Number.parseInt(footer.subarray(16, 32).toString(), 16);
  const toc = gunzipSync(blob.subarray(offset));
  const size = Number.parseInt(toc.subarray(124, 135).toString(), 8);
  return { archive: toc, text: toc.subarray(512, 512 + size).toString(), offset };
}

const digest = (data: Uint8Array) => `sha256:${createHash("sha256").update(data).digest("hex")}`;

describe("Estargz", () => {
  const name = byteString;

  it("writes the table of contents that BuildKit writes", async () => {
    // Offsets are left out of the recording: they depend on the compressor.
    const recorded = readFileSync(new URL("../../fixtures/estargz/recorded-toc.json", import.meta.url), "utf8");
    const directory = (path: string, more: Partial<Entry> = {}): Entry => ({
      ...{ name: name(path), type: TarType.Directory, mode: 0o755 },
      ...more,
    });
    const bytes = archive([
      directory("a/"),
      directory("a/b/", { uid: 12, gid: 34 }),
      { name: name("a/b/f"), mode: 0o4755, data: "hi\n" },
      { name: name("a/blk"), type: TarType.BlockDevice, devMajor: 5 },
      { name: name("a/dev"), type: TarType.CharDevice, devMajor: 5, devMinor: 7 },
      { name: name("a/empty") },
      { name: name("a/fifo"), type: TarType.Fifo },
      { name: name("a/hard"), type: TarType.HardLink, linkname: name("a/b/f"), mode: 0o4755 },
      { name: name("a/old"), mtimeNs: -2_000_000_000n },
      { name: name("a/sym"), type: TarType.Symlink, linkname: name("../f"), mode: 0o777 },
      { name: byteStringFrom(Buffer.from("a/x\xffy", "latin1")), data: Buffer.from([0xff]) },
      { name: name("a/zero"), mtimeNs: 0n },
      { name: name("a/é<&>") },
      ...["dev/", "e/", "proc/", "sys/"].map((path) => directory(path)),
    ]);
    const { blob, facts } = await pack(bytes);
    const { text } = tocOf(blob);
    assert.equal(text.replaceAll(/"offset": \d+/g, '"offset": -1'), recorded);
    assert.equal(facts.tocDigest, digest(Buffer.from(text)));
  });

  it("keeps the archive byte by byte and finds each chunk where the table says", async () => {
    const large = Buffer.alloc(9_000_000, "0123456789abcdef");
    const exact = Buffer.alloc(8 << 20, "x");
    const bytes = archive([
      { name: name("d/"), type: TarType.Directory },
      { name: name("d/large"), data: large },
      { name: name("d/exact"), data: exact },
      { name: name("d/small"), data: "small" },
    ]);
    for (const options of [{}, { level: 9, pieceBytes: 7777 }]) {
      const { blob, facts } = await pack(bytes, options);
      const { archive: toc, text, offset } = tocOf(blob);
      const whole = gunzipSync(blob);
      assert.ok(whole.equals(Buffer.concat([bytes, toc])));
      assert.ok(gunzipSync(blob.subarray(0, offset)).equals(bytes));
      assert.deepEqual(
        { diffId: facts.diffId, bytes: facts.uncompressedBytes },
        { diffId: digest(whole), bytes: whole.length },
      );
      const { entries } = JSON.parse(text) as { entries: (Record<string, string> & Record<string, number>)[] };
      const chunks = entries.filter((entry) => entry["offset"] !== undefined);
      assert.deepEqual(
        chunks.map((entry) => [entry["name"], entry["type"], entry["chunkOffset"], entry["chunkSize"]]),
        [
          ["d/large", "reg", undefined, 4 << 20],
          ["d/large", "chunk", 4 << 20, 4 << 20],
          ["d/large", "chunk", 8 << 20, undefined],
          ["d/exact", "reg", undefined, 4 << 20],
          ["d/exact", "chunk", 4 << 20, 4 << 20],
          ["d/small", "reg", undefined, undefined],
        ],
      );
      const files: Record<string, Buffer> = { "d/large": large, "d/exact": exact, "d/small": Buffer.from("small") };
      for (const entry of chunks) {
        const start = entry["chunkOffset"] ?? 0;
        const content = files[String(entry["name"])]?.subarray(start, start + (4 << 20)) ?? Buffer.alloc(0);
        const read = gunzipSync(blob.subarray(entry["offset"])).subarray(0, content.length);
        assert.ok(read.equals(content));
        assert.equal(entry["chunkDigest"], digest(content));
        if (entry["type"] === "reg") assert.equal(entry["digest"], digest(files[String(entry["name"])] ?? content));
      }
    }
  });

  it("is an archive without the table to those who do not know it", async () => {
    const { blob } = await pack(archive([{ name: name("one"), data: "1" }]));
    const bytes = async function* () {
      yield gunzipSync(blob);
    };
    const reader = new TarReader(bytes());
    const names: string[] = [];
    for (let entry = await reader.next(); entry !== undefined; entry = await reader.next())
      names.push(entry.header.name);
    assert.deepEqual(names, ["one"]);
  });

  it("gives back what it was made from", async () => {
    const one = archive([
      { name: name("one"), data: "x".repeat(513) },
      { name: name("d/"), type: TarType.Directory },
    ]);
    for (const bytes of [one, archive([]), Buffer.concat([one, Buffer.alloc(8192)])]) {
      const { blob } = await pack(bytes);
      for (const pieceBytes of [100, 1 << 20]) {
        const whole = gunzipSync(blob);
        const input = async function* () {
          for (let at = 0; at < whole.length; at += pieceBytes) yield whole.subarray(at, at + pieceBytes);
        };
        const parts: Uint8Array[] = [];
        for await (const part of withoutToc(input())) parts.push(part);
        assert.ok(Buffer.concat(parts).equals(bytes));
      }
    }
  });

  it("keeps names of owners, said once, and extended attributes", async () => {
    const owner = { uid: 7, gid: 8, uname: name("u"), gname: name("g") };
    const pax = new Map([[name("SCHILY.xattr.security.capability"), byteStringFrom(Buffer.from([1, 0, 255]))]]);
    const { blob } = await pack(
      archive([
        { name: name("a"), ...owner, pax },
        { name: name("b"), ...owner },
      ]),
    );
    const { entries } = JSON.parse(tocOf(blob).text) as { entries: Record<string, unknown>[] };
    assert.deepEqual(
      entries.map(({ userName, groupName, xattrs }) => [userName, groupName, xattrs]),
      [
        ["u", "g", { "security.capability": "AQD/" }],
        [undefined, undefined, undefined],
      ],
    );
  });

  it("has a table for an empty layer", async () => {
    const { blob } = await pack(archive([]));
    assert.equal(tocOf(blob).text, '{\n\t"version": 1,\n\t"entries": null\n}');
  });

  it("refuses what it cannot index, and levels out of range", async () => {
    await assert.rejects(pack(archive([{ name: name("./stargz.index.json") }])), /cannot be compressed as estargz/);
    await assert.rejects(pack(archive([]), { level: 10 }), {
      message: "estargz compression level 10 is not between -1 and 9",
    });
    await assert.rejects(pack(Buffer.alloc(700, "x")), /tar/);
  });
});
